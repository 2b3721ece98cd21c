"""Integers of 4 bits: two neighbours of a row in each byte, the first in the low half.

Both functions are calls of their own in a traced program, so that `adamx.kernels` can
have its own forms of them.
"""

import jax
import jax.numpy as jnp
from jax import Array


@jax.jit
def halves_joined(row: Array, offset: Array) -> Array:
    """Pack each two numbers of a row, plus the offset, into a byte: the first low."""
    row = row.astype(jnp.uint8) + offset
    return row[..., ::2] | (row[..., 1::2] << 4)


@jax.jit
def bytes_split(packed: Array) -> Array:
    """Return both halves of each byte of a row, the low one first."""
    row = jax.lax.platform_dependent(packed, cpu=_halves, default=_shifted)
    return row.reshape(*packed.shape[:-1], -1)


def _halves(packed: Array) -> Array:
    """Return both integers of each byte along a new axis, the low half first."""
    return jnp.stack([packed & 15, packed >> 4], -1)


def _shifted(packed: Array) -> Array:
    """Return the same in a form that a GPU and a TPU compute inside other kernels."""
    half = jax.lax.broadcasted_iota(jnp.uint8, (*packed.shape, 2), packed.ndim)
    return (packed[..., None] >> (4 * half)) & 15
