"""Division of an array into blocks along its last axis; the last block may be short.

If the last axis is shorter than a block, trailing axes are merged until they hold one
block (or all are merged): a column of 65,536 numbers is one row of 512 blocks, not
65,536 blocks of one. Values kept per block have the rank of the array: the number of
blocks on the first merged axis, 1 on the axes after it.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

FEWEST = 16  # elements of a block that is made to fit: a scale then takes 2 bits each


class Blocks(NamedTuple):
    """How an array is divided: `lead` axes, then `n` elements in blocks.

    Attributes:
        lead: the lengths of the axes that are not divided.
        n: the number of elements of the merged trailing axes.
        block: the number of elements of a block.
        merged: how many trailing axes are merged.
        padded: whether `split` pads the last block to its full length.
    """

    lead: tuple[int, ...]
    n: int
    block: int
    merged: int
    padded: bool = False

    @property
    def blocks(self) -> int:
        return -(-self.n // self.block)

    def cut(self, pieces: Sequence[int]) -> int | None:
        """Return the axis of which a piece ends inside a block, None if none does.

        `pieces` says into how many each axis of the array is divided on a mesh.
        """
        first = len(self.lead)
        for axis, count in enumerate(pieces[first:], first):
            inside = axis > first or self.n % (count * self.block)
            if count > 1 and inside:
                return axis
        return None

    @property
    def tail(self) -> int:
        """The number of elements that the last block lacks."""
        return self.blocks * self.block - self.n

    def ranked(self, count: int) -> tuple[int, ...]:
        """Return the shape of `count` entries per row, with the rank of the array."""
        return (*self.lead, count) + (1,) * (self.merged - 1)

    @property
    def _whole(self) -> bool:
        """Whether `split` returns whole blocks."""
        return self.padded or not self.tail

    @property
    def _is_block(self) -> bool:
        """Whether each row is one whole block."""
        return self.n == self.block

    def split(self, x: Any) -> Any:
        """Reshape `x` to (*lead, blocks, block), or (*lead, n) if it is one block.

        If the last block is short, its end is filled with zeros, or if that is not
        wanted the shape is (*lead, n).
        """
        x = x.reshape(*self.lead, self.n)
        return self._filled(x) if self._whole and not self._is_block else x

    def spread(self, each: Any) -> Any:
        """Repeat one number per block for its elements, to go with `split(x)`."""
        if self._is_block:
            return each  # of shape (*lead, 1)
        if self._whole:
            return each[..., None]
        whole = jnp.broadcast_to(each[..., None], (*each.shape, self.block))
        return whole.reshape(*self.lead, self.blocks * self.block)[..., : self.n]

    def join(self, x: Any, shape: tuple[int, ...]) -> Any:
        """Invert `split`."""
        if self._whole and not self._is_block:
            x = x.reshape(*self.lead, self.blocks * self.block)[..., : self.n]
        return x.reshape(shape)

    def suited(self, function: Any, *arrays: Any) -> Any:
        """Return `function(self, *arrays)`, with `self` as suits the platform.

        Elsewhere than on a CPU, XLA fills and cuts the last blocks in passes of their
        own; on a CPU, numbers that are spread in rows take longer.
        """
        if not self.tail:
            return function(self, *arrays)
        cpu = functools.partial(function, self._replace(padded=True))
        return jax.lax.platform_dependent(
            *arrays, cpu=cpu, default=functools.partial(function, self)
        )

    def largest(self, x: Any) -> Any:
        """Return the largest magnitude of each block, (*lead, blocks); inf for NaN."""
        x = x.reshape(*self.lead, self.n)
        x = jnp.where(jnp.isnan(x), jnp.inf, jnp.abs(x))  # a maximum may ignore NaN
        windows, rows = self.largest_by_windows, self.largest_by_rows
        tpu = windows if self.tail else rows
        return jax.lax.platform_dependent(x, cpu=windows, tpu=tpu, default=rows)

    def largest_by_windows(self, x: Any) -> Any:
        """Return the maximum of each block by windows over the row.

        On a CPU it takes a tenth of the time of `largest_by_rows`; a GPU reads a whole
        window in one thread.
        """
        window = (1,) * len(self.lead) + (self.block,)
        padding = [(0, 0)] * len(self.lead) + [(0, self.tail)]
        start = jnp.zeros((), x.dtype)
        return jax.lax.reduce_window(x, start, jax.lax.max, window, window, padding)

    def largest_by_rows(self, x: Any) -> Any:
        """Return the maximum of each block over an axis."""
        if self._is_block:
            return x.max(-1, keepdims=True)
        return self._filled(x).max(-1)

    def first(self, x: Any) -> Any:
        """Return the first number of each block, (*lead, blocks)."""
        return self._filled(x.reshape(*self.lead, self.n))[..., 0]

    def _filled(self, x: Any) -> Any:
        if self.tail:
            x = jnp.pad(x, [(0, 0)] * len(self.lead) + [(0, self.tail)])
        return x.reshape(*self.lead, self.blocks, self.block)


def layout(shape: tuple[int, ...], block: int) -> Blocks:
    """Return the division of an array of this shape into blocks."""
    merged = min(1, len(shape))
    while merged < len(shape) and math.prod(shape[-merged:]) < block:
        merged += 1
    lead = shape[: len(shape) - merged]
    return Blocks(lead, math.prod(shape[len(lead) :]), block, max(merged, 1))


@functools.lru_cache(maxsize=4096)
def block_of(shape: tuple[int, ...], block: int, scales: tuple[int, ...]) -> int:
    """Return the length of the blocks of an array that has scales of this shape.

    It is `block`, unless that would make scales of another shape: then the largest
    even number below it that does without a short block, as `fitted_block` chooses it.
    """
    for length in (block, *range(block - 2, FEWEST - 1, -2)):
        lay = layout(shape, length)
        if lay.ranked(lay.blocks) == scales and (length == block or not lay.tail):
            return length
    return block


def in_many(shape: tuple[int, ...], block: int, scales: tuple[int, ...]) -> bool:
    """Return whether blocks of this length have such scales, more than one in a row."""
    lay = layout(shape, block)
    return lay.blocks > 1 and lay.ranked(lay.blocks) == scales


@functools.lru_cache(maxsize=4096)
def fitted_block(
    shape: tuple[int, ...], block: int, pieces: tuple[int, ...]
) -> int | None:
    """Return the length of blocks that end where the pieces of an array do.

    It is the largest even number of elements, at most `block` and at least 16, for
    which no piece ends inside a block, and which the shape of the scales tells from
    `block` (see `block_of`), also in each piece by itself; None if there is none.
    """
    piece = tuple(n // count for n, count in zip(shape, pieces, strict=True))
    for length in (block, *range(block - 2, FEWEST - 1, -2)):
        lay = layout(shape, length)
        if lay.cut(pieces) is not None:
            continue
        own = layout(piece, length)
        if length == block or (
            block_of(shape, block, lay.ranked(lay.blocks)) == length
            and not in_many(piece, block, own.ranked(own.blocks))
        ):
            return length
    return None
