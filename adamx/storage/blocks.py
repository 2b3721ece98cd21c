"""Where the blocks of an array lie: along its last axis, a tail block cut short.

Where the last axis is narrower than a block, the trailing axes are merged until they
hold one (or all are): a column of 65,536 numbers is one row of 512 blocks, not 65,536
blocks of one. What is kept for a block has the rank of the array: as many entries as
there are blocks at the first merged axis, one at the axes after it.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Blocks(NamedTuple):
    """`lead` axes are left alone; the `n` elements after them lie in blocks.

    Attributes:
        lead: the axes before the blocks.
        n: the elements of the trailing axes together.
        block: the elements of a block.
        merged: how many trailing axes became one.
    """

    lead: tuple[int, ...]
    n: int
    block: int
    merged: int

    @property
    def blocks(self) -> int:
        return -(-self.n // self.block)

    @property
    def tail(self) -> int:
        """How many elements the last block lacks."""
        return self.blocks * self.block - self.n

    def ranked(self, count: int) -> tuple[int, ...]:
        """The shape of `count` entries per row, with the rank of the array."""
        return (*self.lead, count) + (1,) * (self.merged - 1)

    def split(self, x: Any) -> Any:
        """`x` as (*lead, blocks, block), the tail filled with zeros."""
        x = x.reshape(*self.lead, self.n)
        if self.tail:
            x = jnp.pad(x, [(0, 0)] * len(self.lead) + [(0, self.tail)])
        return x.reshape(*self.lead, self.blocks, self.block)

    def join(self, x: Any, shape: tuple[int, ...]) -> Any:
        """The inverse of `split`."""
        x = x.reshape(*self.lead, self.blocks * self.block)
        return x[..., : self.n].reshape(shape)

    def largest(self, x: Any) -> Any:
        """The largest magnitude of each block, (*lead, blocks); inf where there is NaN.

        As a window over the row: XLA on CPU takes a tenth of the time of a maximum over
        the last axis of `split(x)`.
        """
        x = x.reshape(*self.lead, self.n)
        x = jnp.where(jnp.isnan(x), jnp.inf, jnp.abs(x))  # a maximum may pass NaN over
        window = (1,) * len(self.lead) + (self.block,)
        padding = [(0, 0)] * len(self.lead) + [(0, self.tail)]
        start = jnp.zeros((), x.dtype)
        return jax.lax.reduce_window(x, start, jax.lax.max, window, window, padding)


def layout(shape: tuple[int, ...], block: int) -> Blocks:
    """The layout of an array of this shape."""
    merged = min(1, len(shape))
    while merged < len(shape) and math.prod(shape[-merged:]) < block:
        merged += 1
    lead = shape[: len(shape) - merged]
    return Blocks(lead, math.prod(shape[len(lead) :]), block, max(merged, 1))
