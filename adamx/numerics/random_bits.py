"""Random bits from a counter-based generator, without state.

A key is one 32-bit word folded from integers (seed, step, leaf, …); the bits of an
element are a function of the key and the element's index in the whole array. They are
the same on any number of devices, and any step can be repeated.
"""

import functools
import math
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from .. import errors
from .splits import Split, dims_of, first_indices, whole_shape


class OfRows(NamedTuple):
    """A key, or a word of one, for some rows of a table.

    Attributes:
        word: the word.
        rows: which rows of the table the first axis of an array is; int32.
    """

    word: Any
    rows: Any


def key_of(*words: Any) -> Any:
    """Fold several integers into one word, for the same rows if one is `OfRows`."""
    key, rows = jnp.uint32(0x9E3779B9), None
    for word in words:
        if isinstance(word, OfRows):
            word, rows = word
        key = mixed(key + jnp.asarray(word).astype(jnp.uint32), jnp.uint32(0x85EBCA6B))
    return key if rows is None else OfRows(key, rows)


def word_of(name: str) -> np.uint32:
    """Return a word for a name or a path."""
    return np.uint32(zlib.crc32(name.encode()))


def mixed(x: Array, salt: Array) -> Array:
    """Mix 32 bits invertibly, with a salt halfway.

    The constants are those of `lowbias32` (C. Wellons, hash-prospector, 2018).
    """
    x = x ^ (x >> 16)
    x = x * jnp.uint32(0x7FEB352D) + salt
    x = x ^ (x >> 15)
    x = x * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


@functools.partial(jax.jit, static_argnums=0)
def index_in_array(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Return the index of each element of an array, modulo 2³².

    It is a call of its own in a traced program, by which `engine.elementwise` finds it.
    """
    return _index_in(shape, shape, [0] * len(shape))


def _index_in(shape: tuple[int, ...], whole: tuple[int, ...], starts: Any) -> Array:
    """Return the indices in a whole array of a piece that begins there."""
    steps = np.cumprod((1, *whole[:0:-1]), dtype=np.uint64).astype(np.uint32)[::-1]

    def place_on(axis: int, start: Any) -> Any:
        place = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        return place if isinstance(start, int) else place + _as_uint32(start)

    axes = [
        place_on(axis, start) * step
        for axis, (start, step) in enumerate(zip(starts, steps, strict=False))
    ]
    return functools.reduce(jnp.add, axes) if axes else jnp.uint32(0)


def bits(
    key: Any, shape: tuple[int, ...], index: Any = index_in_array
) -> UInt32[Array, "..."]:
    """Return 32 random bits for each element, from the key and the element's index.

    Of arrays with more than 2³² elements, those 2³² apart have the same bits. With a
    `OfRows` key the index is that in the whole table.
    """
    if not isinstance(key, OfRows):
        place = index(shape)
    elif index is index_in_array:
        key, rows = key
        size = jnp.uint32(math.prod(shape[1:]) % 2**32)
        starts = (rows.astype(jnp.uint32) * size).reshape(-1, *[1] * (len(shape) - 1))
        place = starts + index((1, *shape[1:]))
    else:
        raise errors.AdamxError(
            "update: random numbers of row-sparse gradients must be drawn by whole "
            "rows, got a step that is computed part by part. Use the optimizer without "
            "adamx.fused for them."
        )
    return mixed(place ^ key, mixed(key, jnp.uint32(0xC2B2AE35)))


class Part(NamedTuple):
    """Where a part of an array lies: it is given as rows, and the part is a rectangle.

    Attributes:
        row: how many elements a row of the array has.
        columns: how many of them the part has.
        first_row: the row of its first element, a number or an array.
        first_column: the column of it.
    """

    row: int
    columns: int
    first_row: Any
    first_column: Any

    def indices(self, shape: tuple[int, int]) -> UInt32[Array, "rows columns"]:
        """Return the indices in the array of what has this shape in the part.

        It may have one number for several elements of a row; the index is then that
        among these numbers.
        """
        each = self.columns // shape[1]
        row, column = (_as_uint32(x) for x in (self.first_row, self.first_column))
        column = column if each == 1 else column // jnp.uint32(each)
        whole = self.columns == self.row
        length = jnp.uint32((shape[1] if whole else -(-self.row // each)) % 2**32)
        rows = jax.lax.broadcasted_iota(jnp.uint32, shape, 0) + row
        return rows * length + jax.lax.broadcasted_iota(jnp.uint32, shape, 1) + column


class Piece(NamedTuple):
    """A piece of an array that `shard_map` splits: the shape of it, and the split."""

    of: tuple[int, ...]
    split: Split

    def indices(self, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
        """Return the indices in the whole array of what has this shape in the piece.

        Of as many numbers as the piece has, in any shape, they are those of its
        elements; of fewer, such as one for each block, the axes are split alike.
        """
        if math.prod(shape) == math.prod(self.of):
            return self._indices(self.of, self.split).reshape(shape)
        dims = dims_of(self.split, len(self.of))[: len(shape)]
        dims += ((),) * (len(shape) - len(dims))
        return self._indices(shape, Split.by_dims(dims))

    def _indices(self, shape: tuple[int, ...], split: Split) -> Array:
        return _index_in(shape, whole_shape(shape, split), first_indices(shape, split))


def _as_uint32(x: Any) -> Array:
    return jnp.asarray(x).astype(jnp.uint32)


class Uniform:
    """Draw one number in (0, 1) for each element: `uniform(shape)`, multiples of 2⁻¹⁷.

    Two draws share one word of `bits`: an even draw uses its lower half, the odd draw
    after it the upper. For a `Part` or a `Piece` of an array the numbers are those
    of the array.
    """

    def __init__(
        self, key: Any, draw: int = 0, part: Part | Piece | None = None
    ) -> None:
        self._key, self._draw = key, draw
        self._index = index_in_array if part is None else part.indices

    def __call__(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        word = bits(key_of(self._key, self._draw // 2), shape, self._index)
        half = word >> 16 if self._draw % 2 else word & 0xFFFF
        return (half.astype(jnp.float32) + 0.5) * 2.0**-16


def normal(key: Any, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Draw one standard normal number for each element, of 2¹⁶ quantiles; ‖·‖ < 4.4."""
    u = Uniform(key)(shape).astype(dtype)
    return jax.lax.erf_inv(2 * u - 1) * 2.0**0.5
