"""`adamx.slots`: one slot of a state in float32, whatever its storage."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.nested import check_readable, find_states, map_params
from ..engine.paths import leaves_by_path
from ..engine.slot_trees import FORM
from ..engine.slots import shapes
from ..engine.state import Slot, State, absent, is_absent
from ..numerics.random_bits import Uniform, key_of
from ..storage.forms import codec_of
from ..wrappers.tunable import Tuned
from .saved_slots import SlotTarget, columns_of


def slots(state: Any, name: str, params: Any) -> Any:
    """Return one slot of a state as a tree like the parameters, in float32.

        v = adamx.slots(state, "nu", params)

    What a codec of `adamx.storage` keeps is decoded: its form is in the state. A
    leaf that does not have the slot (masked out, frozen, of size 0) is None. A slot of
    another shape than the parameter, such as the sums of rows in Adafactor, is returned
    as it is. It works in any nesting of states, and inside `jax.jit`.

    Args:
        state: a state in which adamx states are, in any nesting.
        name: the name of a slot, such as "mu" or "nu".
        params: the parameters that the state belongs to.

    Raises:
        ValueError: no state in it has the slot, or two have it for one leaf; the slot
            is one number for the whole tree; the codec that keeps it is not known; the
            parameters are others.
        TypeError: `state` holds no state of adamx.
    """
    check_readable("slots", state, (Tuned, State))
    states = find_states(state, State)
    found = [one.slots[name] for one in states if name in one.slots]
    if not found:
        known = sorted({slot for one in states for slot in one.slots})
        raise errors.AdamxError(
            f"slots: `name` must be a slot in the state, got {name!r}. "
            f"{errors.suggest(name, known)}"
        )
    values: dict[str, Array] = {}
    for kept in found:
        here = _decoded(name, kept, params)
        twice = sorted(values.keys() & here.keys())
        if twice:
            raise errors.AdamxError(
                f"slots: one state must have {name!r} for each leaf, got two for "
                f"`{twice[0]}`. Pass the part of the state that is meant."
            )
        values |= here
    return map_params(lambda path, p: values.get(path), params)


def _decoded(name: str, kept: Any, params: Any) -> dict[str, Array]:
    """Return what one state has of a slot, by path."""
    if _is_number(kept) and jax.tree.structure(params) != jax.tree.structure(0):
        raise errors.AdamxError(
            f"slots: {name!r} must be an array for each leaf, got one number for the "
            f"whole tree. Read it as state.slots[{name!r}]."
        )
    to = SlotTarget(name, Slot(), None, params, where="slots")
    form = kept.get(FORM) if isinstance(kept, Mapping) else None
    if isinstance(form, Mapping) and form and codec_of(next(iter(form))) is None:
        raise errors.AdamxError(
            f"slots: {name!r} must be kept by a codec of adamx.storage, got "
            f"{next(iter(form))}. {_RESTORE}"
        )
    codec, columns = columns_of(to, kept)
    values: dict[str, Array] = {}
    for i, (path, p) in enumerate(leaves_by_path(params)):
        parts = {part: column[i] for part, column in columns.items()}
        there = {n: absent() if x is None else x for n, x in parts.items()}
        if p is None or all(map(is_absent, there.values())):
            continue
        if codec is None or codec.parts == ("",):
            values[path] = _wide(there[""])
        else:
            shape = _shape(name, codec, there, path, tuple(p.shape))
            values[path] = codec.decode(there, shape).astype(jnp.float32)
    return values


_RESTORE = (
    "Bring the state to float32 first: adamx.restore(tx, state, params) with the tx "
    "that does not store it."
)


def _is_number(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.shape(x) == ()


def _wide(x: Any) -> Array:
    x = jnp.asarray(x)
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _encoded(codec: Any, like: Any) -> Any:
    return jax.eval_shape(lambda x: codec.encode(x, Uniform(key_of(0))), like)


def _shape(
    name: str, codec: Any, parts: dict[str, Any], path: str, shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape that was stored: that of the parameter, or of the codes."""
    kept = [tuple(x.shape) for x in parts.values() if not is_absent(x)]
    for one in (shape, *kept):
        like = jax.ShapeDtypeStruct(one, jnp.float32)
        try:
            made = _encoded(codec.as_kept(parts, one), like)
        except (ValueError, TypeError, IndexError):
            continue
        if shapes(made) == shapes(parts):
            return one
    raise errors.AdamxError(
        f"slots: what is kept of {name!r} for `{path}` must be as {codec!r} stores an "
        f"array like the parameter {list(shape)}, got {shapes(parts)}. "
        f"{_RESTORE}"
    )
