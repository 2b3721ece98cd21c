"""What the axes of a slot are: which of them are axes of the parameter.

It is found by shapes. Where two axes of the parameter have one length, the slot's shape
is computed for a parameter in which they differ.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from .slots import shape_of
from .state import Slot, copied, is_absent

Axes = tuple[int | None, ...]
"""For each axis of a slot, the axis of the parameter that it is; None for another."""


def is_alike(slot: Slot, part: str = "") -> bool:
    """Return whether every leaf has the slot, and in the shape of its parameter."""
    derived = callable(slot.init) and slot.init is not copied
    if slot.masks or slot.shape_of is not None or derived or slot.shared:
        return False
    return slot.codec is None or slot.codec.is_alike(part)


def axes_of(
    slot: Slot, part: str, kept: Any, p: Any, chosen: frozenset, path: str
) -> Axes | None:
    """Return the axes of what is kept of a slot for one leaf; None if it is nothing.

    Args:
        slot: the slot.
        part: the codec part, "" without a codec.
        kept: what is kept: an array, or its shape and dtype.
        p: the parameter, or its shape and dtype.
        chosen: the masks that select the leaf.
        path: the path of the leaf.
    """
    if is_absent(kept):
        return None
    shape, whole = tuple(kept.shape), tuple(p.shape)
    decoded = _decoded(slot, whole, jnp.dtype(p.dtype), chosen, path)
    if slot.codec is None or slot.codec.is_alike(part):
        return decoded
    # scales of blocks and means keep the rank; an axis of blocks is that of the array
    if len(shape) == len(decoded):
        return tuple(None if n == 1 else a for n, a in zip(shape, decoded, strict=True))
    return _matched(shape, whole)


@functools.lru_cache(maxsize=4096)
def _decoded(
    slot: Slot, whole: tuple[int, ...], dtype: Any, chosen: frozenset, path: str
) -> Axes:
    like = jax.ShapeDtypeStruct(whole, dtype)
    shape = tuple(shape_of(slot, like, chosen, path))
    if slot.shape_of is None and shape == whole:
        return tuple(range(len(whole)))
    axes = _matched(shape, whole)
    if len(set(whole)) == len(whole):
        return axes
    # equal lengths told apart: each axis is made longer by its number
    apart = tuple(n + i for i, n in enumerate(whole))
    try:
        other = tuple(
            shape_of(slot, jax.ShapeDtypeStruct(apart, dtype), chosen, path)
        )
    except (ValueError, TypeError):
        return axes
    if len(other) != len(shape):
        return axes
    told = []
    for n, m in zip(shape, other, strict=True):
        fit = [i for i, w in enumerate(whole) if w == n and apart[i] == m]
        told.append(fit[0] if fit else None)
    return tuple(a if told.count(a) == 1 or a is None else None for a in told)


def _matched(shape: tuple[int, ...], whole: tuple[int, ...]) -> Axes:
    """Match lengths from left to right, each axis of the parameter once."""
    left, axes = list(enumerate(whole)), []
    for n in shape:
        found = next((i for i, w in left if w == n), None)
        axes.append(found)
        if found is not None:
            left = [(i, w) for i, w in left if i > found]
    return tuple(axes)
