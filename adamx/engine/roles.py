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
    return matched(shape, whole)


@functools.lru_cache(maxsize=4096)
def _decoded(
    slot: Slot, whole: tuple[int, ...], dtype: Any, chosen: frozenset, path: str
) -> Axes:
    like = jax.ShapeDtypeStruct(whole, dtype)
    shape = tuple(shape_of(slot, like, chosen, path))
    if slot.shape_of is None and shape == whole:
        return tuple(range(len(whole)))
    if len(set(whole)) == len(whole):
        return matched(shape, whole)
    try:
        like = jax.ShapeDtypeStruct(apart(whole), dtype)
        other = tuple(shape_of(slot, like, chosen, path))
    except (ValueError, TypeError):
        return matched(shape, whole)
    return told_apart(shape, other, whole)


def apart(whole: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape in which equal lengths differ: each is longer by its axis."""
    twice = [n for n in whole if whole.count(n) > 1]
    return tuple(n + i if n in twice else n for i, n in enumerate(whole))


def told_apart(
    shape: tuple[int, ...], other: tuple[int, ...], whole: tuple[int, ...]
) -> Axes:
    """Return the axes of an array of this shape, which has `other` where axes differ.

    Of a square, whose axes are both that of the rows, the first one is.
    """
    if len(other) != len(shape):
        return matched(shape, whole)
    lengths = list(zip(whole, apart(whole), strict=True))
    told: list[int | None] = []
    for pair in zip(shape, other, strict=True):
        found = lengths.index(pair) if pair in lengths else None
        told.append(None if found in told else found)
    return tuple(told)


def matched(shape: tuple[int, ...], whole: tuple[int, ...]) -> Axes:
    """Match lengths from left to right, each axis of the parameter once."""
    left, axes = list(enumerate(whole)), []
    for n in shape:
        found = next((i for i, w in left if w == n), None)
        axes.append(found)
        if found is not None:
            left = [(i, w) for i, w in left if i > found]
    return tuple(axes)
