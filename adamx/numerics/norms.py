"""Norms of whole tensors, also of tensors that are split over the devices of a mesh.

`axis_name` is the mesh axis (or axes) over which a leaf is split inside `shard_map`;
None if the array is the whole tensor, as under `jit`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from .arithmetic import safe_sqrt


def across(x: Array, axis_name: Any) -> Array:
    """Sum over the shards."""
    return x if axis_name is None else jax.lax.psum(x, axis_name)


def shards(axis_name: Any) -> int:
    """Return the number of shards of a leaf."""
    if axis_name is None:
        return 1
    try:
        return jax.lax.psum(1, axis_name)
    except NameError:
        raise errors.AdamxError(
            f"update: `axis_name` must be the name of a mesh axis of the shard_map "
            f"around it, got {axis_name!r}, which is none. Outside jax.shard_map pass "
            f"axis_name=None."
        ) from None


def norm(x: Array, axis_name: Any = None) -> Array:
    """Compute `‖x‖₂` of the whole tensor, with derivative 0 at 0."""
    return safe_sqrt(across(jnp.sum(x * x), axis_name))


def rms(x: Array, axis_name: Any = None) -> Array:
    """Compute the root mean square of the whole tensor, with derivative 0 at 0."""
    size = max(x.size, 1) * shards(axis_name)
    return safe_sqrt(across(jnp.sum(x * x), axis_name) / size)


def shrink(length: Any, limit: Any) -> Any:
    """Return the factor, at most 1, that clips a vector of this length to the limit."""
    over = length > limit
    return jnp.where(over, limit / jnp.where(over, length, 1), 1)


def whole(x: Array, axis_name: Any) -> Array:
    """Gather the tensor from its shards along the first axis.

    It is a sum of pieces and zeros: unlike with `all_gather`, JAX then knows that all
    devices have the same array, so that results may leave `shard_map` as replicated.
    """
    if axis_name is None:
        return x
    length = x.shape[0]
    full = jnp.zeros((length * shards(axis_name), *x.shape[1:]), x.dtype)
    start = jax.lax.axis_index(axis_name) * length
    placed = jax.lax.dynamic_update_slice_in_dim(full, x, start, 0)
    return jax.lax.psum(placed, axis_name)


def own(x: Array, axis_name: Any) -> Array:
    """Return the shard along the first axis that belongs to this device."""
    if axis_name is None:
        return x
    length = x.shape[0] // shards(axis_name)
    start = jax.lax.axis_index(axis_name) * length
    return jax.lax.dynamic_slice_in_dim(x, start, length, 0)


def _reduced(totals: dict[str, Array], name: str, like: Array, axis_name: Any) -> Array:
    total = totals.get(name, jnp.zeros_like(like)).astype(like.dtype)
    return total if axis_name is None else jax.lax.psum(total, axis_name)
