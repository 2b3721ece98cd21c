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
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import errors
from ..engine.chain import chain
from ..engine.hyperparams import at, hyper_fields, public_name
from ..engine.masks import Mask
from ..engine.paths import flatten
from ..engine.rule import Rule
from ..engine.state import Slot, State, absent
from ..engine.transformation import Transformation
from ..engine.value import Value, show
from ..numerics.arithmetic import one_minus_power
from ..parts.tree_axes import AxesOf
from . import optax_states as states
from .saved_slots import after


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
            if not is_same(value, usual[name].default)
        )
        return f"{self.name}({', '.join(given)})"

    def made(self) -> optax.GradientTransformationExtraArgs:
        """Return what Optax's function makes."""
        given = {name: _unmasked(value) for name, value in self.arguments}
        return optax.with_extra_args_support(self.function(**given))


def is_same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _unmasked(value: Any) -> Any:
    if isinstance(value, AxesOf):
        return value.as_dimension_numbers
    return value.as_tree if isinstance(value, Mask) else value


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

    def _check_call(self, updates: Any, state: Any, params: Any) -> None:
        """Let every state pass: it is one of Optax."""

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
