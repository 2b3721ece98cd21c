"""Random bits from a counter-based generator, without state.

A key is one 32-bit word folded from integers (seed, step, leaf, …); the bits of an
element are a function of the key and the element's index in the whole array. They are
the same on any number of devices, and any step can be repeated.
"""

import functools
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32


class Placed(NamedTuple):
    """A key, or a word of one, for some rows of a table.

    Attributes:
        word: the word.
        rows: which rows of the table the first axes of an array are; int32.
    """

    word: Any
    rows: Any


def key_of(*words: Any) -> Any:
    """Fold several integers into one word, for the same rows if one is `Placed`."""
    key, rows = jnp.uint32(0x9E3779B9), None
    for word in words:
        if isinstance(word, Placed):
            word, rows = word
        key = _mix(key + jnp.asarray(word).astype(jnp.uint32), jnp.uint32(0x85EBCA6B))
    return key if rows is None else Placed(key, rows)


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


def bits(key: Any, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Return 32 random bits for each element, from the key and the element's index.

    Of arrays with more than 2³² elements, those 2³² apart have the same bits. With a
    `Placed` key the index is that in the whole table.
    """
    steps = np.cumprod((1, *shape[:0:-1]), dtype=np.uint64).astype(np.uint32)[::-1]
    axes = [
        jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * step
        for axis, step in enumerate(steps[: len(shape)])
    ]
    if isinstance(key, Placed):
        key, rows = key
        beside = (-1,) + (1,) * (len(shape) - 1)
        axes[0] = rows.astype(jnp.uint32).reshape(beside) * steps[0]
    place = functools.reduce(jnp.add, axes) if axes else jnp.uint32(0)
    return _mix(place ^ key, _mix(key, jnp.uint32(0xC2B2AE35)))


class Uniform:
    """Draw one number in (0, 1) for each element: `uniform(shape)`, multiples of 2⁻¹⁷.

    Two draws share one word of `bits`: an even draw uses its lower half, the odd draw
    after it the upper.
    """

    def __init__(self, key: Any, draw: int = 0) -> None:
        self._key, self._draw = key, draw

    def __call__(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        word = bits(key_of(self._key, self._draw // 2), shape)
        half = word >> 16 if self._draw % 2 else word & 0xFFFF
        return (half.astype(jnp.float32) + 0.5) * 2.0**-16


def normal(key: Any, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Draw one standard normal number for each element, of 2¹⁶ quantiles; ‖·‖ < 4.4."""
    u = Uniform(key)(shape).astype(dtype)
    return jax.lax.erf_inv(2 * u - 1) * 2.0**0.5
