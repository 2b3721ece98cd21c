"""How an array is split over the devices of a `shard_map`, and its pieces put together.

A `Split` says which mesh axes split which axis of an array. The functions take one, or
the name of a mesh axis (or a tuple of names) that splits the first axis, or None for an
array that is whole, as under `jit`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors


class Split(NamedTuple):
    """The mesh axes over which an array is split.

    Attributes:
        names: all of them, in order.
        dims: those of each axis of the array; None if that is not known: then the first
            axis has all of them.
    """

    names: tuple[str, ...]
    dims: tuple[tuple[str, ...], ...] | None = None

    @classmethod
    def by_dims(cls, dims: Sequence[tuple[str, ...]]) -> "Split":
        """Return the split of an array whose axes have these mesh axes."""
        return cls(tuple(name for each in dims for name in each), tuple(dims))

    def without(self, axis: int) -> "Split":
        """Return the split of a slice across an axis; -1 is the last.

        If only the names are known, they are those of the slice.
        """
        if self.dims is None:
            return self
        axis %= len(self.dims)
        return Split.by_dims([d for i, d in enumerate(self.dims) if i != axis])


def names_of(split: Any) -> tuple[str, ...]:
    """Return the mesh axes over which an array is split."""
    if split is None:
        return ()
    if isinstance(split, Split):
        return split.names
    return split if isinstance(split, tuple) else (split,)


def dims_of(split: Any, ndim: int) -> tuple[tuple[str, ...], ...]:
    """Return the mesh axes of each axis of an array."""
    known = split.dims if isinstance(split, Split) else None
    if known is not None and len(known) == ndim:
        return known
    return (names_of(split), *(() for _ in range(ndim - 1)))[:ndim]


def along(split: Any, axes: Sequence[int], ndim: int) -> Split:
    """Return the split along some axes of an array, as one of the first axis."""
    dims = dims_of(split, ndim)
    return Split(tuple(name for axis in axes for name in dims[axis]))


def shards(split: Any) -> int:
    """Return into how many pieces an array is split."""
    names = names_of(split)
    if not names:
        return 1
    try:
        return jax.lax.psum(1, names)
    except NameError:
        given = ", ".join(map(repr, names))
        raise errors.AdamxError(
            f"update: `axis_name` must be the name of a mesh axis of the shard_map "
            f"around it, got {given}, which is none. Outside jax.shard_map pass "
            f"axis_name=None."
        ) from None


def whole_shape(shape: tuple[int, ...], split: Any) -> tuple[int, ...]:
    """Return the shape of the whole array, given that of a piece."""
    dims = dims_of(split, len(shape))
    return tuple(n * shards(d) for n, d in zip(shape, dims, strict=True))


def whole_size(shape: tuple[int, ...], split: Any) -> int:
    """Return the number of elements of the whole array, given the shape of a piece."""
    return math.prod(shape) * shards(split)


def across(x: Array, split: Any) -> Array:
    """Sum over the pieces."""
    names = names_of(split)
    return jax.lax.psum(x, names) if names else x


def largest_across(x: Array, split: Any) -> Array:
    """Return the largest over the pieces."""
    names = names_of(split)
    return jax.lax.pmax(x, names) if names else x


def everywhere(x: Array, split: Any) -> Array:
    """Return whether something holds for every piece."""
    names = names_of(split)
    return jax.lax.pmin(x.astype(jnp.int32), names) == 1 if names else x


def own_grid(
    grid: tuple[int, ...], shape: tuple[int, ...], split: Any
) -> tuple[tuple[int, ...], list[int]] | None:
    """Return the blocks of a piece, and the axes along which others have parts of them.

    `grid` has the number of blocks along each axis of the whole array, `shape` is that
    of the piece. None if blocks do not divide an axis, or cross the bounds of pieces.
    """
    whole = whole_shape(shape, split)
    pieces = [n // max(k, 1) for n, k in zip(whole, shape, strict=True)]
    fits = len(grid) == len(whole) and all(
        b > 0 and n % b == 0 and (b == 1 or b % k == 0)
        for n, b, k in zip(whole, grid, pieces, strict=True)
    )
    if not fits:
        return None
    own = tuple(max(b // k, 1) for b, k in zip(grid, pieces, strict=True))
    return own, [i for i, b in enumerate(grid) if b == 1]


def first_indices(shape: tuple[int, ...], split: Any) -> list[Any]:
    """Return where the piece of this device begins along each axis."""
    dims = dims_of(split, len(shape))
    pairs = zip(shape, dims, strict=True)
    return [jax.lax.axis_index(d) * n if d else jnp.int32(0) for n, d in pairs]


def whole(x: Array, split: Any) -> Array:
    """Gather an array from its pieces.

    It is a sum of pieces and zeros: unlike with `all_gather`, JAX then knows that all
    devices have the same array, so that results may leave `shard_map` as replicated.
    """
    if not names_of(split):
        return x
    full = jnp.zeros(whole_shape(x.shape, split), x.dtype)
    placed = jax.lax.dynamic_update_slice(full, x, first_indices(x.shape, split))
    return across(placed, split)


def own(x: Array, split: Any) -> Array:
    """Return the piece of a whole array that belongs to this device."""
    if not names_of(split):
        return x
    dims = dims_of(split, x.ndim)
    shape = tuple(n // shards(d) for n, d in zip(x.shape, dims, strict=True))
    return jax.lax.dynamic_slice(x, first_indices(shape, split), shape)


def varying(x: Any) -> frozenset[str]:
    """Return the mesh axes over which an array differs, where `shard_map` checks it."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return frozenset()
    return jax.typeof(x).manual_axis_type.varying


def is_checked(name: str) -> bool | None:
    """Return whether a `shard_map` over this axis checks what varies; None for none."""
    if name not in jax.sharding.get_abstract_mesh().manual_axes:
        return None
    return bool(varying(jax.lax.axis_index(name)))


def split_of(axis_name: Any, arrays: Sequence[Any], where: Callable[[], str]) -> Split:
    """Return the split of the arrays of one leaf, of which only names are given.

    These are the given mesh axes over which one of the arrays varies: a leaf that is
    the same on all devices is not split. Where an axis is no axis of `shard_map`, as in
    `jax.vmap(..., axis_name=)`, nothing is known of it, and the leaf counts as split.
    """
    names = names_of(axis_name)
    shards(names)
    unchecked = [name for name in names if is_checked(name) is False]
    if unchecked:
        raise errors.AdamxError(
            f"update: `axis_name` must name axes of a shard_map that checks which "
            f"leaves vary, got {unchecked[0]!r} of one with check_vma=False, where "
            f"`{where()}` may be split or not. Leave check_vma=True, or say it of each "
            f"leaf: adamx.in_shard_map(tx, specs)."
        )
    seen = frozenset().union(*(varying(x) for x in arrays))
    return Split(tuple(n for n in names if n in seen or is_checked(n) is None))
