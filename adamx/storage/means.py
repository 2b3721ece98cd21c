"""Codecs that keep means: of rows and columns, or of blocks.

The means are linear in the array, so that Adam's second moment stored by them is the
second moment of Adafactor or Adam-mini.
"""

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.state import absent
from ..numerics.arithmetic import safe_divide
from .codec import Codec, Draw, Kept, reject_signed


class RowColumnMeans(Codec):
    """Keep row means r and column means c over the last two axes: `x ≈ r cᵀ / mean(r)`.

    Arrays of fewer than two axes are kept whole, in float32. Adam's second moment in
    this form is Adafactor's.

    Kept: `row` (…, m, 1), `col` (…, 1, n), `whole`.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithm 2, arXiv:1804.04235.
    """

    parts: ClassVar[tuple[str, ...]] = ("row", "col", "whole")

    def bind(self, slot: str, signed: bool) -> "RowColumnMeans":
        reject_signed(self, slot, signed, "A product of means has no signs.")
        return self

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        x = x.astype(jnp.float32)
        if x.ndim < 2:
            return {"row": absent(), "col": absent(), "whole": x}
        row, col = x.mean(-1, keepdims=True), x.mean(-2, keepdims=True)
        return {"row": row, "col": col, "whole": absent()}

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        if len(shape) < 2:
            return kept["whole"]
        row = kept["row"]
        return safe_divide(row, row.mean(-2, keepdims=True)) * kept["col"]

    def note(self, shape: tuple[int, ...]) -> str:
        return "float32, fewer than two axes" if len(shape) < 2 else repr(self)


def last_axis(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Make one block for each entry of the last axis; one block below two axes."""
    return (1,) * (len(shape) - 1) + shape[-1:] if len(shape) > 1 else (1,) * len(shape)


class BlockMean(Codec):
    """Keep the mean of each block, one number for all of its elements.

    Args:
        blocks: a function of the shape that returns the number of blocks along each
            axis, which must divide it. By default one block for each output neuron of
            an (in, out) kernel, the last axis.

    Kept: the slot itself, of the shape that `blocks` returns. Adam's second moment in
    this form is Adam-mini's.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 1, arXiv:2406.16793.
    """

    parts: ClassVar[tuple[str, ...]] = ("",)
    blocks: Callable[[tuple[int, ...]], tuple[int, ...]] = last_axis

    def bind(self, slot: str, signed: bool) -> "BlockMean":
        reject_signed(self, slot, signed, "Signs would cancel in the mean.")
        return self

    def _cells(self, shape: tuple[int, ...]) -> list[int]:
        grid = self.blocks(shape)
        pairs = zip(shape, grid, strict=True)
        return [length for n, b in pairs for length in (b, n // b)]

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        cells = x.astype(jnp.float32).reshape(self._cells(x.shape))
        return {"": cells.mean(tuple(range(1, cells.ndim, 2)))}

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        cells = self._cells(shape)
        inside = [length for n in kept[""].shape for length in (n, 1)]
        return jnp.broadcast_to(kept[""].reshape(inside), cells).reshape(shape)
