"""Norms of whole tensors, also of tensors that are split over the devices of a mesh."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .arithmetic import safe_sqrt
from .splits import across, shards


def norm(x: Array, split: Any = None) -> Array:
    """Compute `‖x‖₂` of the whole tensor, with derivative 0 at 0."""
    return safe_sqrt(across(jnp.sum(x * x), split))


def rms(x: Array, split: Any = None) -> Array:
    """Compute the root mean square of the whole tensor, with derivative 0 at 0."""
    size = float(max(x.size, 1) * shards(split))  # more than an int32 has
    return safe_sqrt(across(jnp.sum(x * x), split) / size)


def mean(x: Array, axes: Any, split: Any = None, keepdims: bool = False) -> Array:
    """Compute the mean along axes of the whole tensor, over whose pieces `split` is."""
    return across(x.mean(axes, keepdims=keepdims), split) / shards(split)


def shrink(length: Any, limit: Any) -> Any:
    """Return the factor, at most 1, that clips a vector of this length to the limit."""
    over = length > limit
    return jnp.where(over, limit / jnp.where(over, length, 1), 1)


def total_of(totals: dict[str, Array], name: str, like: Array) -> Array:
    """Return a sum over the tree in the dtype of `like`; 0 of a tree without leaves."""
    return totals.get(name, jnp.zeros_like(like)).astype(like.dtype)
