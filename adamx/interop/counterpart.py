"""Transformations of adamx in the place of Optax's: their signature and their states.

`Counterpart` holds a call of Optax, and the parts of adamx in the places of its links.
`init` is Optax's own, so the state is what the call of Optax keeps, in class, order,
shapes and dtypes. `update` reads adamx's slots from it, runs the parts, and writes the
slots back: a state may go from one to the other at every step. Between the parts
nothing is rounded, and each is given its hyperparameters at the count that Optax has
for its link.

What a part cannot do, Optax does, on the same state: leaves that are complex, and what
`unfit` names.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, cast

import jax
import jax.numpy as jnp
import optax

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import at, hyper_fields, public_name
from ..engine.masks import Mask, as_mask
from ..engine.paths import flatten
from ..engine.rule import Rule, as_rule
from ..engine.state import Slot, State, absent
from ..engine.transformation import Transformation
from ..engine.value import Value, show
from ..numerics.arithmetic import one_minus_power
from ..wrappers.restore import after
from . import optax_states as states

P = ParamSpec("P")


def why_not_real(updates: Any) -> str:
    """Return why adamx cannot compute updates that are not all real numbers."""
    for g in jax.tree.leaves(updates):
        if not jnp.issubdtype(jnp.result_type(g), jnp.floating):
            return f"adamx has real and floating leaves only, got {g.dtype}."
    return ""


class Call(Value):
    """A call of a function of Optax, by keyword."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        usual = inspect.signature(self.function).parameters
        given = (
            f"{name}={show(value)}"
            for name, value in self.arguments
            if not _is_same(value, usual[name].default)
        )
        return f"{self.name}({', '.join(given)})"

    def made(self) -> optax.GradientTransformationExtraArgs:
        """Return what Optax's function makes."""
        given = {name: _unmasked(value) for name, value in self.arguments}
        return optax.with_extra_args_support(self.function(**given))


def _is_same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _unmasked(value: Any) -> Any:
    return value.resolve if isinstance(value, Mask) else value


class Counterpart(Transformation):
    """A call of Optax, computed by parts of adamx on Optax's state.

    Attributes:
        call: the call of Optax.
        parts: one rule in the place of each of its links.
        chained: whether the state is a tuple of one for each link.
        unfit: a function of the updates that returns why the parts cannot compute
            them, or "".
    """

    call: Call
    parts: tuple[Rule, ...]
    chained: bool = False
    unfit: Callable[[Any], str] | None = None

    def __repr__(self) -> str:
        return repr(self.call)

    def _init(self, params: Any) -> Any:
        return self.call.made().init(params)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        if self.reason(updates):
            return self.call.made().update(updates, state, params, **extra)
        kept = state if self.chained else (state,)
        if not isinstance(kept, tuple) or len(kept) != len(self.parts):
            raise errors.type_error(
                "update",
                f"the state must be the one that `init` of {self!r} returned",
                type(state).__name__,
                "Call tx.init(params), then tx.update(updates, state, params).",
            )
        leaves, treedef = flatten(updates)
        given = hyperparams_of(self.parts)
        slots, parts, steps = _entered(self.parts, kept, leaves, treedef, given)
        tx = chain(*parts)
        slots |= derived(tx.slots(), slots, given, steps, treedef)
        wide = treedef.unflatten(_widened(tx, leaves, slots, treedef, params))
        u, after = tx._update(wide, State(steps, slots), params, extra)
        columns, numbers = _columns(after.slots, tx.slots(), treedef)

        def one(x: Any) -> Any:
            if not states.is_known(x):
                return x
            before = states.count_of(x)
            count: Any = after.count
            if before is not None:
                count = optax.safe_increment(before)
            return states.write(x, leaves, treedef, given, columns, numbers, count)

        new = jax.tree.map(one, kept, is_leaf=states.is_known)
        return u, new if self.chained else new[0]

    def reason(self, updates: Any) -> str:
        """Return why Optax computes these updates; "" if adamx does."""
        why = why_not_real(updates)
        return why or ("" if self.unfit is None else self.unfit(updates))

    def steps(self, state: Any) -> Any:
        """Return the steps taken; an error if Optax's state does not count them."""
        counts = [states.count_of(x) for x in states.known(state)]
        counted = [count for count in counts if count is not None]
        if not counted:
            raise errors.AdamxError(
                f"steps: the state must count the steps, but Optax's state of {self!r} "
                f"does not, got {type(state).__name__}. Use the optimizer of adamx."
            )
        return counted[0]


def _entered(
    parts: tuple[Rule, ...], kept: Any, leaves: list, treedef: Any, given: Any
) -> tuple[dict[str, Any], list[Rule], Any]:
    """Return the slots, the parts at the count of their links, and the steps taken."""
    slots: dict[str, Any] = {}
    resolved, steps = [], None
    for part, link in zip(parts, kept, strict=True):
        scheduled = jnp.zeros((), jnp.int32)
        for x in states.known(link):
            columns, numbers = states.read(x, leaves, treedef, given)
            steps = states.count_of(x) if steps is None else steps
            slots |= numbers | {n: _tree(c, treedef) for n, c in columns.items()}
            scheduled = states.scheduled_at(x)
        resolved.append(at(part, scheduled))
    return slots, resolved, jnp.zeros((), jnp.int32) if steps is None else steps


def _tree(column: list, treedef: Any) -> Any:
    return treedef.unflatten([absent() if x is None else x for x in column])


def _columns(
    slots: dict[str, Any], declared: dict[str, Slot], treedef: Any
) -> tuple[dict[str, list], dict[str, Any]]:
    shared = {name for name, slot in declared.items() if slot.shared}
    columns = {
        name: treedef.flatten_up_to(tree)
        for name, tree in slots.items()
        if name not in shared
    }
    return columns, {name: slots[name] for name in shared}


def derived(
    declared: dict[str, Slot],
    known: Mapping[str, Any],
    given: Any,
    steps: Any,
    tree: Any,
) -> dict[str, Any]:
    """Compute the slots that Optax does not keep, since they follow from the count.

    Raises:
        ValueError: one does not follow.
    """
    found: dict[str, Any] = {}
    for name, slot in declared.items():
        if name in known:
            continue
        decay = name.removesuffix("_weight")
        averaged = name.endswith("_share") and "b1" in given
        if slot.from_count is not None:
            found[name] = after(slot, steps)
        elif slot.shared and decay in given:
            found[name] = weight_after(given[decay], steps)
        elif slot.shared and averaged:
            share = 1 - 1 / given["b1"]
            found[name] = jnp.asarray(share, states.shared_dtype())
        elif not slot.shared and (slot.shape_of is not None or not tree.num_leaves):
            # a slot that no leaf has, such as the rows of vectors
            found[name] = tree.unflatten([absent()] * tree.num_leaves)
        else:
            raise errors.AdamxError(
                f"restore: the saved state must hold the slot `{name}`, got the slots "
                f"{sorted(known)}. Start afresh with tx.init(params)."
            )
    return found


def weight_after(decay: Any, steps: Any) -> Any:
    """Return 1 - β**t, the weight in an average after t steps."""
    dtype = states.shared_dtype()
    count = jnp.maximum(jnp.asarray(steps).astype(dtype), 1)
    weight = one_minus_power(jnp.asarray(decay, dtype), count)
    return jnp.where(jnp.asarray(steps) > 0, weight, 0)


def hyperparams_of(x: Any) -> dict[str, Any]:
    """Return the hyperparameters of rules by their public names, the first of each."""
    found: dict[str, Any] = {}
    if isinstance(x, Value):
        for name in hyper_fields(x):
            found.setdefault(public_name(x, name), getattr(x, name))
        x = tuple(getattr(x, name) for name in x._fields)
    if isinstance(x, tuple):
        for one in x:
            found = hyperparams_of(one) | found
    return found


def _widened(tx: Any, leaves: list, slots: dict, treedef: Any, params: Any) -> list:
    """Return the gradients in the dtype of Optax's updates.

    It is the widest of the gradient, its slots, and the parameter where it is used.
    """
    beside = [
        treedef.flatten_up_to(tree) for n, tree in slots.items() if _is_tree(tx, n)
    ]
    if params is not None and any("param" in p.needs() for p in tx.passes):
        beside.append(treedef.flatten_up_to(params))
    wide = []
    for i, g in enumerate(leaves):
        kinds = [c[i].dtype for c in beside if hasattr(c[i], "dtype") and c[i].ndim]
        kinds = [d for d in kinds if jnp.issubdtype(d, jnp.floating)]
        wide.append(g if g is None else g.astype(jnp.result_type(g, *kinds)))
    return wide


def _is_tree(tx: Any, name: str) -> bool:
    return not tx.slots()[name].shared


class Own(optax.GradientTransformationExtraArgs):
    """Optax's own transformation, and why it is not made of adamx's parts."""

    reason: str


def own(tx: Any, reason: str) -> Own:
    """Return a transformation of Optax with a reason."""
    made = Own(*optax.with_extra_args_support(tx))
    made.reason = reason
    return made


def implemented_by(made: Any, params: Any = None) -> str:
    """Return what computes the updates of a transformation or function of `optax` here.

    Args:
        made: a transformation, or a function that makes one.
        params: the parameters; given, leaves that adamx has no parts for are seen too.

    Returns:
        "adamx", or "optax: " and the reason.
    """
    if callable(made):
        built = hasattr(made, "built_of_adamx")
        return "adamx" if built else "optax: adamx has no optimizer of this name."
    if isinstance(made, Own):
        return f"optax: {made.reason}"
    if not isinstance(made, Transformation):
        return "optax: it is Optax's own transformation."
    why = "" if params is None else getattr(made, "reason", lambda p: "")(params)
    return f"optax: {why}" if why else "adamx"


class Unbuilt(Exception):
    """Raised by a builder that has no parts for its arguments; says why."""


def rule_of(tx: Any) -> Rule:
    """Return the one rule of a counterpart; raise `Unbuilt` for Optax's own."""
    if isinstance(tx, Own):
        raise Unbuilt(tx.reason)
    return tx.parts[0]


def counterpart(
    of: Callable[P, Any], *, chained: bool = False, unfit: Any = None
) -> Callable[[Callable[..., Any]], Callable[P, optax.GradientTransformationExtraArgs]]:
    """Decorate a builder: what makes the parts from the arguments of Optax's `of`.

    The result has the signature and the defaults of the installed Optax. The builder
    gets every argument by keyword. It returns a rule, or a tuple of one for each link
    of Optax's chain, or a transformation that is complete; or it raises `Unbuilt`.

    Args:
        of: the function of Optax.
        chained: whether the state is a tuple with one state for each link.
        unfit: a function of the updates: why Optax must compute them, or "".
    """
    signature, theirs = inspect.signature(of), cast("Callable[..., Any]", of)

    def decorate(build: Callable[..., Any]) -> Any:
        knows = inspect.signature(build).parameters
        name = build.__name__
        takes_all = any(p.kind is p.VAR_KEYWORD for p in knows.values())

        def made(*args: Any, **kwargs: Any) -> Any:
            given = _bound(name, signature, args, kwargs)
            for word in () if takes_all else given.keys() - knows.keys():
                if not _is_same(given[word], signature.parameters[word].default):
                    return own(
                        theirs(**given), f"{name}: adamx does not know `{word}`."
                    )
            try:
                heard = given if takes_all else {word: given[word] for word in knows}
                parts: Any = build(**heard)
                if isinstance(parts, optax.GradientTransformation):
                    if not isinstance(parts, Rule | Chain):
                        return parts
                    parts = (parts,)
                call = Call(name, of, tuple((n, _kept(n, x)) for n, x in given.items()))
                if not _can_hash(call):
                    why = "an argument cannot be compared, such as a tree of labels"
                    raise Unbuilt(f"{name}: {why}.")
                if hasattr(parts, "complete"):
                    return parts.complete(call)
                rules = tuple(as_rule(name, "a part", part) for part in parts)
            except (Unbuilt, errors.AdamxError) as error:
                return own(theirs(**given), str(error))
            return Counterpart(call, rules, chained, unfit)

        made.__name__ = made.__qualname__ = name
        made.__module__ = build.__module__
        made.__doc__ = build.__doc__
        # the signature of Optax, for whoever inspects the function
        made.__dict__ |= {"__wrapped__": of, "built_of_adamx": True}
        return made

    return decorate


def _bound(
    name: str, signature: inspect.Signature, args: tuple, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return every argument by name; an error for a call that does not fit."""
    known = signature.parameters
    over = [word for word in kwargs if word not in known]
    if over:
        raise errors.AdamxTypeError(
            f"{name}: its keywords must be those of Optax, {list(known)}, got "
            f"`{over[0]}`. {errors.suggest(over[0], known)}"
        )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise errors.AdamxTypeError(
            f"{name}: its arguments must be those of Optax, {list(known)}, got a call "
            f"with {error}. Pass them by keyword."
        ) from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _can_hash(call: Call) -> bool:
    try:
        hash(call)
    except TypeError:
        return False
    return True


def _kept(name: str, value: Any) -> Any:
    """Return an argument in a form that can be compared."""
    if name.endswith("mask") and not isinstance(value, bool):
        return as_mask(name, value)
    return tuple(value) if isinstance(value, list) else value
