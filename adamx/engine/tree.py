"""From a rule on one leaf to a transformation of a tree.

This file, with the refusals of `_structure`, is the only one that knows trees.

A rule is met by its methods only: `slots`, `shared`, `partial_sums`, `apply`, and what it says
of itself (`masks`, `extras`, `reads_param`, `reads_path`).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import errors as _checks
from ..numerics.arithmetic import compute_dtype
from ..numerics.random_bits import key_of, word_of
from . import hyperparams as hyper, slots as keeping, tree_checks as _structure
from .state import Context, Slot, State

# ---- the start ---------------------------------------------------------------


def start(rule: Any, params: Any) -> dict[str, Any]:
    """The slots of a rule before the first step."""
    leaves, treedef = _structure.flatten(params)
    for i, p in enumerate(leaves):
        if p is not None:
            _structure.check_param(p, params, i)
    selected = _selected(rule, params, treedef, len(leaves))
    declared, slots = rule.slots(), {}
    by_path = any(slot.by_path for slot in declared.values())
    paths = _structure.places(params) if by_path else [""] * len(leaves)
    for name, slot in declared.items():
        if slot.shared:
            slots[name] = jnp.full((), slot.start, shared_dtype())
            continue
        column = map(functools.partial(keeping.begin, slot), leaves, selected, paths)
        slots[name] = _as_trees(slot, list(column), treedef)
    return slots


def _as_trees(slot: Slot, column: list, treedef: Any) -> Any:
    """What stands in the state for a slot: a tree, or a dict of them by part."""
    columns = keeping.split(slot, column)
    if isinstance(columns, dict):
        return {part: treedef.unflatten(each) for part, each in columns.items()}
    return treedef.unflatten(columns)


def init(rule: Any, params: Any) -> State:
    return State(jnp.zeros((), jnp.int32), start(rule, params))


def shared_dtype() -> Any:
    """The dtype of what a tree shares: float64 under x64, else float32."""
    return jax.dtypes.canonicalize_dtype(jnp.float64)


# ---- masks, columns, extra arguments -----------------------------------------


def _selected(rule: Any, tree: Any, treedef: Any, n: int) -> list[frozenset]:
    """For each leaf, the masks of the rule that select it."""
    chosen: list[set] = [set() for _ in range(n)]
    if n:
        for mask in rule.masks():
            answers = treedef.flatten_up_to(mask.resolve(tree))
            for masks, answer in zip(chosen, answers, strict=True):
                if answer is True:
                    masks.add(mask)
    return list(map(frozenset, chosen))


def _extra_columns(
    rule: Any, extra: dict, treedef: Any, n: int
) -> tuple[dict[str, Any], dict[str, list]]:
    """Extra arguments the rule asks for: shared by the tree, or one a leaf."""
    one, each = {}, {}
    for name in sorted(rule.extras()):
        if name not in extra:
            raise _checks.AdamxTypeError(
                f"update: the extra argument `{name}` must be given, got "
                f"{sorted(extra)}. Call tx.update(updates, state, params, {name}=...)."
            )
        if jax.tree.structure(extra[name]) == jax.tree.structure(0) and n != 1:
            one[name] = extra[name]
        else:
            each[name] = treedef.flatten_up_to(extra[name])
    return one, each


# ---- one step ----------------------------------------------------------------


class Step(NamedTuple):
    """What a step is given besides the updates and the slots.

    `dtypes` are those of the gradients, in which the updates of the last pass leave;
    those of other passes leave in the dtype of the arithmetic.
    """

    params: Any
    count: Any
    extra: dict[str, Any]
    dtypes: Sequence[Any]
    last: bool = True


def _shared(rule: Any, kept: dict[str, Any], count: Any) -> dict[str, Any]:
    """What the whole tree shares this step: computed once, not once per leaf."""
    dtype = shared_dtype()
    return rule.cast(dtype).shared(kept, count.astype(dtype))


class _Inputs(NamedTuple):
    """What one leaf brings to a compiled step."""

    update: Any
    param: Any
    extra: dict[str, Any]
    word: Any  # of its path, where random numbers are drawn


def _leaf_functions(rule: Any) -> tuple[Any, Any]:
    """`partial_sums` and `apply` of a rule, compiled once per distinct form of a leaf.

    A form is static: the masks that select the leaf, its path where the rule reads it,
    and the dtype in which its update leaves.
    """
    arrays, structure = jax.tree.flatten(rule)
    declared = {name: slot for name, slot in rule.slots().items() if not slot.shared}
    coded = [name for name, slot in declared.items() if slot.codec is not None]

    def enter(form: Any, arrays: list, shared: dict, count: Any, x: _Inputs) -> Any:
        given = (x.update, x.param) if x.param is not None else (x.update,)
        dtype = compute_dtype(*(a.dtype for a in given))
        param = None if x.param is None else x.param.astype(dtype)
        known = {name: value.astype(dtype) for name, value in shared.items()}
        leaf = Context(count, param, known, x.extra, form.selected, form.path)
        if x.word is not None:
            own = None if x.param is None else x.param.dtype
            leaf = leaf._replace(dtype=own, key=key_of(count, x.word))
        return structure.unflatten(arrays).cast(dtype), x.update.astype(dtype), leaf

    def seen(form: Any, kept: dict[str, Any], u: Any) -> dict[str, Any]:
        return {n: keeping.decoded(declared[n], s, u, form) for n, s in kept.items()}

    def measure(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        here, u, leaf = enter(form, *given)
        return here.partial_sums(u, seen(form, kept, u), leaf)

    def apply(form: Any, kept: dict[str, Any], *given: Any) -> Any:
        here, u, leaf = enter(form, *given)
        u, new = here.apply(u, seen(form, kept, u), leaf)
        after = {}
        for name, old in kept.items():
            draw = coded.index(name) if name in coded else 0
            slot, key = declared[name], leaf.key
            after[name] = keeping.encoded(slot, new[name], old, form, key, draw)
        return u.astype(form.dtype), after

    def bound(function: Any) -> Any:
        compiled = jax.jit(function, static_argnums=0)
        return lambda form, kept, *given: compiled(form, kept, arrays, *given)

    return bound(measure), bound(apply)


class _Form(NamedTuple):
    selected: frozenset
    path: str | None
    dtype: Any


def _inputs(rule: Any, leaves: list, treedef: Any, updates: Any, step: Step) -> list:
    """What each leaf brings, checked."""
    n = len(leaves)
    reads_param = rule.reads_param()
    if reads_param and step.params is None:
        raise _checks.AdamxTypeError(
            f"update: {rule.reader()} needs the parameters, got params=None. "
            f"Call tx.update(updates, state, params)."
        )
    params = [None] * n
    if step.params is not None:
        params = _structure.column("params", treedef, step.params, updates)
    for i, (g, p) in enumerate(zip(leaves, params, strict=True)):
        if g is not None:
            _structure.check_leaf(g, p, updates, i)
    one, each = _extra_columns(rule, step.extra, treedef, n)
    coded = any(slot.codec is not None for slot in rule.slots().values())
    words: list = [None] * n
    if coded or rule.draws():
        words = list(map(word_of, _structure.places(updates)))
    return [
        _Inputs(
            g,
            p if reads_param else None,
            one | {name: column[i] for name, column in each.items()},
            word,
        )
        for i, (g, p, word) in enumerate(zip(leaves, params, words, strict=True))
    ]


def _forms(rule: Any, treedef: Any, updates: Any, step: Step) -> list[_Form]:
    n = treedef.num_leaves
    tree = updates if step.params is None else step.params
    selected = _selected(rule, tree, treedef, n)
    paths = _structure.places(updates) if rule.reads_path() else [None] * n
    dtypes = step.dtypes
    if not step.last or rule.lands():
        dtypes = [None if d is None else compute_dtype(d) for d in dtypes]
    return list(map(_Form, selected, paths, dtypes))


def sweep(
    rule: Any, updates: Any, slots: dict[str, Any], step: Step
) -> tuple[Any, dict[str, Any]]:
    """One step of a rule, whose schedules are resolved, on each leaf of a tree."""
    _structure.check_scalars(rule)
    declared = rule.slots()
    _structure.check_present(declared, slots)
    leaves, treedef = _structure.flatten(updates)
    inputs = _inputs(rule, leaves, treedef, updates, step)
    forms = _forms(rule, treedef, updates, step)
    columns = {
        name: _structure.slot_column(name, slot, treedef, slots[name], updates)
        for name, slot in declared.items()
        if not slot.shared
    }
    _structure.check_slots(declared, columns, leaves, updates)
    live = [i for i, g in enumerate(leaves) if g is not None]

    kept = {name: slots[name] for name, slot in declared.items() if slot.shared}
    shared = kept | _shared(rule, kept, step.count)
    measure, apply = _leaf_functions(rule)
    if rule.reach() == "global":
        parts = []
        for i in live:
            old = {name: column[i] for name, column in columns.items()}
            parts.append(measure(forms[i], old, shared, step.count, inputs[i]))
        names = {name for part in parts for name in part}
        sums = {k: sum(part[k] for part in parts if k in part) for k in sorted(names)}
        shared = shared | rule.cast(shared_dtype()).from_sums(sums, shared)
    for i in live:
        old = {name: column[i] for name, column in columns.items()}
        leaves[i], new = apply(forms[i], old, shared, step.count, inputs[i])
        for name, column in columns.items():
            column[i] = new[name]
    new_slots = {name: shared[name].astype(old.dtype) for name, old in kept.items()}
    for name, column in columns.items():
        new_slots[name] = _as_trees(declared[name], column, treedef)
    return treedef.unflatten(leaves), slots | new_slots


def update(
    rule: Any, updates: Any, state: State, params: Any, extra: dict[str, Any]
) -> tuple[Any, State]:
    """One step of one rule on a tree."""
    slots = slots_of(state)
    count = optax.safe_increment(state.count)
    now = hyper.at(rule, state.count)
    step = Step(params, count, extra, dtypes_of(updates))
    updates, slots = sweep(now, updates, slots, step)
    return updates, State(count, slots, state.inner)


def slots_of(state: Any) -> dict[str, Any]:
    """The slots of a state, which must be one of ours."""
    if not isinstance(state, State):
        raise _checks.refuse(
            "update",
            "the state must be the one that `init` returned",
            type(state).__name__,
            "Call tx.init(params), then tx.update(updates, state, params).",
        )
    return dict(state.slots)


def dtypes_of(updates: Any) -> list:
    """The dtypes of the leaves of a tree, None for a leaf without a gradient."""
    return [getattr(g, "dtype", None) for g in _structure.flatten(updates)[0]]


def widen(tree: Any) -> Any:
    """A tree in the dtype of the arithmetic, for parts that see the whole tree."""

    def one(x: Any) -> Any:
        if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        dtype = compute_dtype(x.dtype)
        if isinstance(x, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(x.shape, dtype, sharding=x.sharding)
        return x if x.dtype == dtype else x.astype(dtype)

    return jax.tree.map(one, tree)


def narrow(tree: Any, dtypes: Sequence[Any]) -> Any:
    """The updates back in the dtypes of the gradients."""
    leaves, treedef = _structure.flatten(tree)
    pairs = zip(leaves, dtypes, strict=True)
    cast = [x if x is None or x.dtype == d else x.astype(d) for x, d in pairs]
    return treedef.unflatten(cast)
