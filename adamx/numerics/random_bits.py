"""Random bits from a counter-based generator, without state.

A key is one 32-bit word folded from integers (seed, step, leaf, …); the bits of an
element are a function of the key and the element's index in the whole array. They are
the same on any number of devices, and any step can be repeated.
"""

import functools
import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from .splits import Split, dims_of, first_indices, names_of, whole_shape


def key_of(*words: Any) -> UInt32[Array, ""]:
    """Fold several integers into one word."""
    key = jnp.uint32(0x9E3779B9)
    for word in words:
        key = _mix(key + jnp.asarray(word).astype(jnp.uint32), jnp.uint32(0x85EBCA6B))
    return key


def word_of(name: str) -> np.uint32:
    """Return a word for a name or a path."""
    return np.uint32(zlib.crc32(name.encode()))


def _mix(x: Array, salt: Array) -> Array:
    """Mix 32 bits invertibly, with a salt halfway.

    The constants are those of `lowbias32` (C. Wellons, hash-prospector, 2018).
    """
    x = x ^ (x >> 16)
    x = x * jnp.uint32(0x7FEB352D) + salt
    x = x ^ (x >> 15)
    x = x * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def bits(
    key: UInt32[Array, ""], shape: tuple[int, ...], split: Any = None
) -> UInt32[Array, "..."]:
    """Return 32 random bits for each element, from the key and the element's index.

    Of arrays with more than 2³² elements, those 2³² apart have the same bits. With
    `split` the array is a piece of a whole one, in which the index is.
    """
    whole = whole_shape(shape, split)
    steps = np.cumprod((1, *whole[:0:-1]), dtype=np.uint64).astype(np.uint32)[::-1]
    starts = first_indices(shape, split) if names_of(split) else [0] * len(shape)

    def place_on(axis: int, start: Any) -> Any:
        place = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        return place if isinstance(start, int) else place + start.astype(jnp.uint32)

    axes = [
        place_on(axis, start) * step
        for axis, (start, step) in enumerate(zip(starts, steps, strict=False))
    ]
    place = functools.reduce(jnp.add, axes) if axes else jnp.uint32(0)
    return _mix(place ^ key, _mix(key, jnp.uint32(0xC2B2AE35)))


class Uniform:
    """Draw one number in (0, 1) for each element: `uniform(shape)`, multiples of 2⁻¹⁷.

    Two draws share one word of `bits`: an even draw uses its lower half, the odd draw
    after it the upper. With `split`, the numbers are for a piece of `of` elements of a
    whole array: in that shape or another of as many numbers they are those of the whole
    at its place, and in the shape of fewer numbers, such as one for each block, the
    axes are split alike.
    """

    def __init__(
        self,
        key: Array,
        draw: int = 0,
        of: tuple[int, ...] | None = None,
        split: Any = None,
    ) -> None:
        self._key, self._draw, self._of, self._split = key, draw, of, split

    def __call__(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        word = self._bits(key_of(self._key, self._draw // 2), shape)
        half = word >> 16 if self._draw % 2 else word & 0xFFFF
        return (half.astype(jnp.float32) + 0.5) * 2.0**-16

    def _bits(self, key: Array, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
        of, split = self._of, self._split
        if of is None or not names_of(split):
            return bits(key, shape)
        if math.prod(shape) == math.prod(of):
            return bits(key, of, split).reshape(shape)
        dims = dims_of(split, len(of))[: len(shape)]
        dims += ((),) * (len(shape) - len(dims))
        return bits(key, shape, Split.by_dims(dims))


def normal(key: Array, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Draw one standard normal number for each element, of 2¹⁶ quantiles; ‖·‖ < 4.4."""
    u = Uniform(key)(shape).astype(dtype)
    return jax.lax.erf_inv(2 * u - 1) * 2.0**0.5
