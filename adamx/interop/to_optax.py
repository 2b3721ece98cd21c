"""From states of adamx to those that a transformation of Optax continues from."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import errors
from ..engine.paths import flatten
from ..engine.slot_trees import column_of
from ..engine.slots import join
from ..engine.state import Slot, State
from ..wrappers.tunable import Tuned
from . import optax_states as states
from .counterpart import hyperparams_of
from .nests import (
    COUNTED,
    INJECTED,
    as_state,
    children,
    injected,
    inside,
    is_node,
    is_ours,
    rebuilt,
)
from .saved_slots import as_like
from .units import to_optax


def to_optax_state(
    optax_tx: Any, state: Any, params: Any, *, saved_by: Any = None
) -> Any:
    """Convert a state of adamx to one that a transformation of Optax continues from.

    Args:
        optax_tx: the transformation of Optax, of the same algorithm; inside others too.
        state: the state of adamx, alone or inside others.
        params: the parameters, as for `init`.
        saved_by: the transformation of adamx that made the state: needed where a codec
            stores a slot, or Optax keeps it in other units (`rmsprop` with momentum,
            `rprop`, `adafactor` with momentum, `prodigy`).

    Raises:
        ValueError: Optax's state has a moment that the state does not hold.
        TypeError: `state` holds no state of adamx, or several.
    """
    return _towards(optax_tx.init(params), state, params, saved_by)


def _towards(fresh: Any, state: Any, params: Any, saved_by: Any) -> Any:
    """Go through the state of Optax and that with one of adamx inside together."""
    if is_ours(state):
        one: Any = as_state(state)
        one = as_state(one.inner) if isinstance(one, Tuned) else one
        return _converted(fresh, one, params, saved_by)
    ours = inside(state, is_ours)
    if type(fresh).__name__ in INJECTED and type(state) is type(fresh):
        kept = injected(fresh.hyperparams, state.hyperparams)
        state = state._replace(hyperparams=kept)
    if is_node(fresh) and is_node(state):
        names, values = children(fresh)
        given, there = children(state)
        if tuple(names) == tuple(given):
            pairs = zip(values, there, strict=True)
            new = [_towards(a, b, params, saved_by) for a, b in pairs]
            return rebuilt(fresh, names, new)
    elif not ours:
        return as_like("a leaf", fresh, state) if hasattr(fresh, "dtype") else state
    if len(ours) != 1:
        raise errors.type_error(
            "to_optax_state",
            "`state` must hold one state of adamx",
            f"{len(ours)} in {type(state).__name__}",
            "Pass the part of it that belongs to the optimizer.",
        )
    return _towards(fresh, ours[0], params, saved_by)


def _converted(fresh: Any, one: State, params: Any, saved_by: Any) -> Any:
    leaves, treedef = flatten(params)
    declared = {} if saved_by is None else saved_by.slots()
    given = {} if saved_by is None else hyperparams_of(saved_by)
    columns, numbers = _plain(one, declared, params)
    columns = to_optax(saved_by, fresh, columns)
    count = jnp.asarray(one.count)

    def new(x: Any) -> Any:
        try:
            return states.write(x, leaves, treedef, given, columns, numbers, count)
        except KeyError as error:
            raise errors.AdamxError(
                f"to_optax_state: the state must hold what {type(x).__name__} holds, "
                f"got {sorted(one.slots)} without {error}. Pass the optimizer of Optax "
                f"with the same algorithm, and saved_by= the one of adamx."
            ) from None

    return states.rebuilt(fresh, new, lambda x: _counting(x, count))


def _counting(x: Any, count: Any) -> Any:
    name = COUNTED.get(type(x).__name__)
    return x if name is None else x._replace(**{name: count.astype(jnp.int32)})


def _plain(
    state: State, declared: Mapping[str, Slot], params: Any
) -> tuple[dict[str, list], dict[str, Any]]:
    """Return the slots as columns of arrays, and the numbers of the tree."""
    leaves = flatten(params)[0]
    columns: dict[str, list] = {}
    numbers: dict[str, Any] = {}
    for name, kept in state.slots.items():
        slot = declared.get(name, Slot())
        if slot.codec is not None:
            column = join(slot, kept, lambda tree: column_of(tree, params))
            columns[name] = [
                None if p is None else slot.codec.decode(one, p.shape)
                for p, one in zip(leaves, column, strict=True)
            ]
            continue
        if hasattr(kept, "dtype") and not kept.ndim and len(leaves) != 1:
            numbers[name] = kept
            continue
        try:
            found = column_of(kept, params)
            hidden = optax.MaskedNode
            columns[name] = [None if isinstance(x, hidden) else x for x in found]
        except (ValueError, TypeError, KeyError):
            raise errors.AdamxError(
                f"to_optax_state: the slot `{name}` must have the structure of the "
                f"parameters, got {jax.tree.structure(kept)}. If a codec stores it, "
                f"pass saved_by= the transformation that does."
            ) from None
        if hasattr(kept, "dtype"):
            numbers[name] = kept
    return columns, numbers
