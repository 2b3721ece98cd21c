"""Codecs that keep means: of rows and columns, or of blocks.

The means are linear in the array, so that Adam's second moment stored by them is the
second moment of Adafactor or Adam-mini.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.state import absent
from ..numerics.arithmetic import safe_divide
from ..numerics.norms import mean
from ..numerics.splits import along, own_grid, whole_shape
from .codec import Codec, Draw, Kept, reject_signed


class RowColumnMeans(Codec):
    """Keep row means r and column means c over the last two axes: `x ≈ r cᵀ / mean(r)`.

    Arrays of fewer than two axes are kept whole, in float32. Adam's second moment in
    this form is Adafactor's.

    Inside `shard_map` the means are those of the whole array with `in_shard_map`, which
    sets `split`.

    Kept: `row` (…, m, 1), `col` (…, 1, n), `whole`.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithm 2, arXiv:1804.04235.
    """

    parts: ClassVar[tuple[str, ...]] = ("row", "col", "whole")
    split: Any = dataclasses.field(default=None, kw_only=True)

    def placed(self, split: Any) -> "RowColumnMeans":
        return dataclasses.replace(self, split=split)

    def bind(self, slot: str, signed: bool) -> "RowColumnMeans":
        reject_signed(self, slot, signed, "A product of means has no signs.")
        return self

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        x = x.astype(jnp.float32)
        if x.ndim < 2:
            return {"row": absent(), "col": absent(), "whole": x}
        rows, columns = (along(self.split, (a,), x.ndim) for a in (-2, -1))
        row, col = mean(x, -1, columns, True), mean(x, -2, rows, True)
        return {"row": row, "col": col, "whole": absent()}

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        if len(shape) < 2:
            return kept["whole"]
        row = kept["row"]
        rows = along(self.split, (-2,), len(shape))
        return safe_divide(row, mean(row, -2, rows, True)) * kept["col"]

    def note(self, shape: tuple[int, ...]) -> str:
        return "float32, fewer than two axes" if len(shape) < 2 else repr(self)


def last_axis(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Make one block for each entry of the last axis; one block below two axes.

    The default of `BlockMean(blocks=...)`: of the shape (in, out) it returns (1, out).
    """
    return (1,) * (len(shape) - 1) + shape[-1:] if len(shape) > 1 else (1,) * len(shape)


class BlockMean(Codec):
    """Keep the mean of each block, one number for all of its elements.

    Args:
        blocks: a function of the shape that returns the number of blocks along each
            axis, which must divide it. By default one block for each output neuron of
            an (in, out) kernel, the last axis.
        split: how the array is split inside `shard_map`; `in_shard_map` sets it. A
            block must be within a piece, or be the only one along an axis.

    Kept: the slot itself, of the shape that `blocks` returns. Adam's second moment in
    this form is Adam-mini's.

    Reference: Zhang et al., "Adam-mini: use fewer learning rates to gain more", ICLR
    2025, Algorithm 1, arXiv:2406.16793.
    """

    parts: ClassVar[tuple[str, ...]] = ("",)
    blocks: Callable[[tuple[int, ...]], tuple[int, ...]] = last_axis
    split: Any = dataclasses.field(default=None, kw_only=True)

    def placed(self, split: Any) -> "BlockMean":
        return dataclasses.replace(self, split=split)

    def bind(self, slot: str, signed: bool) -> "BlockMean":
        reject_signed(self, slot, signed, "Signs would cancel in the mean.")
        return self

    def _cells(self, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Return the blocks and their lengths, and the axes that share their block."""
        whole = whole_shape(shape, self.split)
        grid = tuple(self.blocks(whole))
        found = own_grid(grid, shape, self.split)
        if found is None:
            raise errors.AdamxError(
                f"BlockMean: `blocks` must divide every axis (and its shards), got "
                f"{grid} for the shape {whole}. Return the number of blocks along each "
                f"axis, 1 for an axis that is not divided."
            )
        own, shared = found
        pairs = zip(shape, own, strict=True)
        return [length for n, b in pairs for length in (b, n // b)], shared

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        lengths, shared = self._cells(x.shape)
        cells = x.astype(jnp.float32).reshape(lengths)
        split = along(self.split, shared, x.ndim)
        return {"": mean(cells, tuple(range(1, cells.ndim, 2)), split)}

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        cells, _ = self._cells(shape)
        inside = [length for n in kept[""].shape for length in (n, 1)]
        return jnp.broadcast_to(kept[""].reshape(inside), cells).reshape(shape)
