"""Codecs with a scale per block, whose blocks end where the pieces of an array do.

Which blocks an array has is told by the shape of its scales. It is chosen when the
state is begun, where it is known how devices divide the parameter, and read from the
state at every step.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..engine.state import is_absent
from ..numerics.splits import Split, shards
from .blocks import Blocks, block_of, fitted_block, in_many, layout
from .codec import Codec


class BlockCodec(Codec):
    """Base of codecs that keep `codes` and a `scale` for each block of `block`."""

    def in_blocks(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array of this shape has blocks that may be fitted."""
        return True

    def layout_of(self, shape: tuple[int, ...]) -> Blocks:
        """Return the division of an array of this shape into blocks."""
        return layout(shape, self.block)  # pyright: ignore[reportAttributeAccessIssue]

    def of_block(self, block: int) -> Any:
        """Return the same codec with blocks of this length."""
        same = block == self.block  # pyright: ignore[reportAttributeAccessIssue]
        return self if same else dataclasses.replace(self, block=block)

    def fitted(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> Any:
        if not self.in_blocks(shape):
            return self
        found = fitted_block(shape, self.block, pieces)  # pyright: ignore[reportAttributeAccessIssue]
        return self if found is None else self.of_block(found)

    def as_kept(self, kept: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
        scale = kept.get("scale")
        if scale is None or is_absent(scale) or not self.in_blocks(shape):
            return self
        found = block_of(shape, self.block, tuple(scale.shape))  # pyright: ignore[reportAttributeAccessIssue]
        return self.of_block(found)

    def undivided_axis(
        self, shape: tuple[int, ...], pieces: tuple[int, ...]
    ) -> int | None:
        return self.layout_of(shape).cut(pieces) if self.is_coded(shape) else None

    def is_coded(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array of this shape is kept in blocks."""
        return self.in_blocks(shape)


def pieces_in(split: Any) -> tuple[int, ...]:
    """Return into how many pieces each axis is split; nothing where it is not known."""
    dims = split.dims if isinstance(split, Split) else None
    return () if dims is None else tuple(map(shards, dims))


def whole_of(shape: tuple[int, ...], pieces: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the whole, given that of one of its equal pieces."""
    return tuple(n * k for n, k in zip(shape, pieces, strict=True))


def block_of_pieces(
    shape: tuple[int, ...],
    block: int,
    pieces: tuple[int, ...],
    scales: tuple[int, ...] | None,
) -> int:
    """Return the length of the blocks of a piece: those of the whole, if they fit.

    `scales` is the shape of the scales of the piece, None where the state is begun.
    """
    whole = whole_of(shape, pieces)
    if scales is None:
        found = fitted_block(whole, block, pieces)
        return block if found is None else found
    if len(scales) != len(shape) or in_many(shape, block, scales):
        return block  # as `shard_map` without specs keeps a piece
    found = block_of(whole, block, whole_of(scales, pieces))
    lay = layout(shape, found)
    return found if lay.ranked(lay.blocks) == scales else block
