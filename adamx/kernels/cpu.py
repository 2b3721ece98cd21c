"""A step of a leaf on a CPU in plain JAX: a loop over blocks that fit its cache.

XLA computes a step with codecs in several loops over the leaf, with whole arrays
between them. Here these loops are inside one over blocks, and what is between them is a
block.

So that XLA writes the new block into the old array, nothing may read the old array
afterwards: the loop carries the slices that its next turn reads.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..engine.leaf_parts import LeafParts, Rows
from ..native.leaf_loop import LeafLoop

LENGTH = 1 << 17
"""About the elements of a block."""
FEWEST = 8
"""Leaves of fewer blocks are computed whole."""


class Region(NamedTuple):
    """Blocks of one size that lie side by side in a leaf.

    Attributes:
        first: the row and column of the first element.
        blocks: how many there are, down and across.
        size: the rows and columns of one.
    """

    first: tuple[int, int]
    blocks: tuple[int, int]
    size: tuple[int, int]


class Division(NamedTuple):
    """How a leaf is divided: its rows and columns, and the regions that they are."""

    shape: tuple[int, int]
    regions: tuple[Region, ...]


def divided(parts: LeafParts, length: int) -> Division | str:
    """Return how a leaf is divided into blocks of about this length, or why it is not.

    The blocks are as equal as they can be, so that few programs are compiled: what does
    not fill a block is a region of its own.
    """
    if parts.block == 1:
        return "it has no slots of 8 or 4 bits"
    rows, row = parts.shape
    if rows * row < FEWEST * length:
        return f"it has fewer than {FEWEST * length:,} elements"
    if parts.whole_rows and row % parts.block == 0 and rows * row < 2**31:
        rows, row = 1, rows * row
    if row <= length:
        high = _fitting(rows, length // row)
        count, left = divmod(rows, high)
        regions = [Region((0, 0), (count, 1), (high, row))]
        if left:
            regions.append(Region((count * high, 0), (1, 1), (left, row)))
    else:
        wide = _fitting(row // parts.block, max(length // parts.block, 1))
        wide *= parts.block
        count, left = divmod(row, wide)
        regions = [Region((0, 0), (rows, count), (1, wide))]
        if left:
            regions.append(Region((0, count * wide), (rows, 1), (1, left)))
    return Division((rows, row), tuple(regions))


def _fitting(count: int, most: int) -> int:
    """Return a number of units that divides `count`: at most `most` and not far below.

    If there is none, `most`.
    """
    near = (n for n in range(most, most // 2, -1) if count % n == 0)
    return next(near, most)


@functools.lru_cache(maxsize=1024)
def prepared(loop: LeafLoop, length: int) -> "Blocks | str":
    """Return how a leaf is computed in blocks of about this length, or why not."""
    parts = loop.source.parts(loop.closed.in_avals)
    if isinstance(parts, str):
        return parts
    division = divided(parts, length)
    if isinstance(division, str):
        return division
    return Blocks(loop, parts, division)


class Blocks:
    """A leaf's step in blocks.

    Attributes:
        length: the elements of a block.
        outlined: the step as a function of the operands, traced once for leaves that
            are alike.
    """

    def __init__(self, loop: LeafLoop, parts: LeafParts, division: Division) -> None:
        self.length = math.prod(division.regions[0].size)
        self.outlined = jax.jit(self._step)
        self._source, self._parts, self._division = loop.source, parts, division

    def _step(self, *flat: Any) -> list:
        rule, kept, shared, count, x, param = self._source.given(flat)
        parts = self._parts
        scalars = parts.keyed(parts.numbers(rule, shared, count, x))
        arrays = parts.arrays(kept, x, param)
        done = self._run(arrays, scalars)
        return jax.tree.leaves(parts.joined(done, kept, x))

    def _run(self, arrays: Mapping[str, Any], scalars: list) -> dict[str, Any]:
        """Return the results of a leaf, as rows, given the operands as rows."""
        operands, results = self._parts.operands, self._parts.results
        given = {n: _as_bits(self._seen(arrays[n], operands[n])) for n in arrays}
        written = {
            n: given.pop(n) if n in operands and n != "update" else self._empty(like)
            for n, like in results.items()
        }
        for region in self._division.regions:
            written = self._over(region, given, written, scalars)
        return {
            n: _of_bits(a, results[n].dtype).reshape(results[n].shape)
            for n, a in written.items()
        }

    def _seen(self, array: Any, like: Rows) -> Any:
        return array.reshape(self._shape(like))

    def _shape(self, like: Rows) -> tuple[int, int]:
        rows, row = self._division.shape
        return rows, -(-row // like.each)

    def _empty(self, like: Rows) -> Any:
        return _as_bits(jnp.zeros(self._shape(like), like.dtype))

    def _over(
        self, region: Region, given: Mapping, written: Mapping, scalars: list
    ) -> dict[str, Any]:
        """Return what is written, with the new numbers of a region."""
        down, across = region.blocks
        turns = down * across
        read = [n for n in written if n in self._parts.operands and n != "update"]

        def place(turn: Any) -> tuple[Any, Any]:
            row, column = jnp.int32(region.first[0]), jnp.int32(region.first[1])
            below, beside = jnp.divmod(turn, jnp.int32(across))
            row = row if down == 1 else row + below * region.size[0]
            column = column if across == 1 else column + beside * region.size[1]
            return row, column

        def sliced(arrays: Mapping, turn: Any) -> dict[str, Any]:
            row, column = place(turn)
            found = {}
            for name, array in arrays.items():
                like = self._parts.operands[name]
                size = region.size[0], -(-region.size[1] // like.each)
                start = row, column // like.each
                found[name] = jax.lax.dynamic_slice(array, start, size)
            return found

        def once(turn: Any, written: dict, ahead: dict) -> dict[str, Any]:
            blocks = sliced(given, turn) | ahead
            new = self._computed(region.size, blocks, scalars, place(turn))
            after = {}
            for name, array in written.items():
                row, column = place(turn)
                start = row, column // self._parts.results[name].each
                after[name] = jax.lax.dynamic_update_slice(array, new[name], start)
            return after

        def turned(turn: Any, carry: tuple) -> tuple:
            after = once(turn, *carry)
            following = jnp.minimum(turn + 1, turns - 1)
            return after, sliced({n: after[n] for n in read}, following)

        first = jnp.int32(0)
        carry = dict(written), sliced({n: written[n] for n in read}, first)
        last = jnp.int32(turns)
        if turns == 1:
            # XLA would unroll a loop that it knows to have one turn, and copy the
            # arrays since it cannot see which part of them is read
            last = jax.lax.optimization_barrier(last)
        return jax.lax.fori_loop(first, last, turned, carry)[0]

    def _computed(
        self, block: tuple[int, int], blocks: Mapping, scalars: list, place: tuple
    ) -> dict[str, Any]:
        """Return the results of a block, filled to whole blocks of the codecs."""
        parts = self._parts
        columns = -(-block[1] // parts.block) * parts.block
        if block[1] == self._division.shape[1]:  # whole rows
            columns = block[1]
        filled = {}
        for name, bits in blocks.items():
            like = parts.operands[name]
            lacks = -(-columns // like.each) - bits.shape[1]
            array = _of_bits(bits, like.dtype)
            filled[name] = jnp.pad(array, ((0, 0), (0, lacks))) if lacks else array
        new = parts.on_part(filled, scalars, *place)
        return {
            name: _as_bits(array[:, : -(-block[1] // parts.results[name].each)])
            for name, array in new.items()
        }


def _as_bits(x: Any) -> Any:
    """Return a low-precision array as integers, else the array.

    XLA on a CPU may do floats of 16 bits and fewer in float32: an update of a slice
    would then convert the whole array, in every turn.
    """
    if not _is_narrow(x.dtype):
        return x
    return jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}"))


def _of_bits(x: Any, dtype: Any) -> Any:
    return jax.lax.bitcast_convert_type(x, dtype) if _is_narrow(dtype) else x


def _is_narrow(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4
