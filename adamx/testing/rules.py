"""`check_rule`: the laws of a rule of adamx, besides those of any transformation."""

import copy
import pickle
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.hyperparams import is_constant, rewrite
from ..engine.rule import Rule
from .compare import other_numbers
from .examples import Example
from .laws import Law, Subject
from .transforms import LAWS, check_exempt, examples_of, raise_broken


def is_a_value(of: Subject, example: Example) -> str | None:
    rule = of.tx
    for how, again in (
        ("a copy", copy.deepcopy(rule)),
        ("what pickle reads back", pickle.loads(pickle.dumps(rule))),
        ("what jax.tree.map returns", jax.tree.map(lambda x: x, rule)),
    ):
        if again != rule or hash(again) != hash(rule):
            return f"{how} that is another one"
    return None


def arrays_are_numbers(of: Subject, example: Example) -> str | None:
    """Compare the rule with that of arrays in the place of its hyperparameters."""
    names: list[str] = []

    def as_array(owner: Any, field: str, value: Any) -> Any:
        if not is_constant(value):
            return value
        names.append(field)
        return jnp.asarray(value, jnp.float32)

    changed = rewrite(of.tx, as_array)
    if not names:
        return None
    p, gradients = example.params(), example.gradients()
    (_, _), want = of.compiled(p, gradients)

    @jax.jit  # the rule is an argument, so that the arrays are traced
    def run(rule: Any, p: Any, gradients: Any) -> Any:
        return Subject(rule, of.extra, of.ulps).run(p, gradients)[1]

    got = run(changed, p, gradients)
    told = other_numbers(got, want, 4 * of.ulps)
    return None if told is None else f"{told}, with arrays for {', '.join(names)}"


def the_scope_holds(of: Subject, example: Example) -> str | None:
    """Change one element, or one leaf, and look at the others."""
    scope = of.tx._widest_scope()
    if scope == "tree":
        return None
    p, gradients = example.params(), example.gradients()
    _, before = of.compiled(p, gradients)
    leaves, treedef = jax.tree.flatten(gradients[0])
    number = max(range(len(leaves)), key=lambda i: leaves[i].size)
    at = (0,) * leaves[number].ndim
    if scope == "tensor":
        changed = 3 * leaves[number]
    else:
        changed = leaves[number].at[at].multiply(3)
    first = treedef.unflatten([*leaves[:number], changed, *leaves[number + 1 :]])
    _, after = of.compiled(p, [first, *gradients[1:]])
    for i, (a, b) in enumerate(
        zip(jax.tree.leaves(after), jax.tree.leaves(before), strict=True)
    ):
        same = np.asarray(a) == np.asarray(b)
        if i == number and scope == "tensor":
            continue
        if i == number:
            same[(slice(None), *at)] = True
        if not same.all():
            what = "leaf" if scope == "tensor" else "element"
            return f"another update where another {what} has changed"
    return None


RULE_LAWS: Mapping[str, Law] = {
    "is_a_value": Law(
        "be a value: equal to its copy, and read back from pickle",
        is_a_value,
        "Keep in its fields only what compares and pickles, such as numbers, tuples "
        "and functions of a module.",
    ),
    "the_scope_holds": Law(
        "let an element of the update depend only on what its `scope` says",
        the_scope_holds,
        'Write scope = "tensor" for a rule that sees a whole leaf, scope = "tree" for '
        "one that sums over all of them.",
    ),
    "arrays_are_numbers": Law(
        "compute with hyperparameters that are arrays what it computes with numbers",
        arrays_are_numbers,
        "No Python branch may depend on a hyperparameter: use jnp.where.",
    ),
    **LAWS,
}
"""The laws of a rule, by name: its own, and those of any transformation."""


def check_rule(
    rule: Any,
    *,
    params: Any = None,
    extra: Any = None,
    exempt: Collection[str] = (),
    examples: int = 4,
    seed: int = 0,
    ulps: float = 16.0,
) -> None:
    """Raise an error if a rule breaks one of the laws `RULE_LAWS`.

        check_rule(MyRule(0.9))

    Args:
        rule: the rule. For a whole chain use `check_transform`.
        params: parameters, or their shapes, in the place of the trees that are drawn.
        extra: the extra arguments of `update`: a dict, or a function of the parameters
            and the gradients that returns one.
        exempt: the names of laws that its mathematics does not have.
        examples: how many random trees the laws that only trace are checked on.
        seed: of the trees and numbers. They are the same in each run.
        ulps: how many units of the last place of the largest number of a leaf two
            programs may differ.

    Raises:
        ValueError: a law does not hold. The message says which, for what smallest
            example, and the usual cause.
        TypeError: `rule` is not a rule.
    """
    check_exempt("check_rule", exempt, RULE_LAWS)
    if not isinstance(rule, Rule):
        raise errors.type_error(
            "check_rule",
            "`rule` must be an adamx.Rule",
            errors.shown(rule),
            "For a chain, and for transformations of Optax, use check_transform.",
        )
    subject = Subject(rule, extra, ulps)
    laws = {name: law for name, law in RULE_LAWS.items() if name not in exempt}
    raise_broken("check_rule", laws, subject, examples_of(params, examples, seed))
