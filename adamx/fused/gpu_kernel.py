"""A step of a leaf as one kernel of a GPU: Pallas, lowered by Triton.

A program takes a tile of the leaf into registers. Tiles and blocks of codecs have a
power of two of elements, as Triton asks.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ..engine.leaf_parts import LeafParts, Rows
from .kernel_body import Packing, body, in_place

TILE = 1024
"""The elements of a tile: 8 for each of 128 threads."""


class Tiling(NamedTuple):
    """How a leaf is divided: its rows and columns, and those of a tile."""

    shape: tuple[int, int]
    tile: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile, strict=True))  # pyright: ignore[reportReturnType]


def tiling(parts: LeafParts) -> Tiling | str:
    """Return how a leaf is divided, or why it cannot be."""
    if parts.block & (parts.block - 1):
        return f"blocks of {parts.block} elements are no power of two"
    if parts.block > 4 * TILE:
        return f"blocks of {parts.block} elements are too long for the registers"
    rows, row = parts.shape
    if row % parts.block == 0:  # a block never goes on in the next row
        rows, row = 1, rows * row
    columns = max(parts.block, min(TILE, _power_above(row)))
    return Tiling(
        (rows, row), (max(1, min(TILE // columns, _power_above(rows))), columns)
    )


def _power_above(n: int) -> int:
    return 1 << (n - 1).bit_length()


def run(
    parts: LeafParts,
    packing: Packing,
    arrays: Mapping[str, Any],
    scalars: Sequence,
    interpret: bool = False,
) -> dict[str, Any]:
    """Return the results of a leaf, as rows.

    Args:
        parts: how the step is computed part by part.
        packing: how the scalars are packed.
        arrays: the operands, as rows.
        scalars: the scalars of the step.
        interpret: whether the kernel is run by XLA, on any platform.
    """
    tiles = tiling(parts)
    assert isinstance(tiles, Tiling)
    given = {
        n: a.reshape(_shape(tiles, parts.operands[n].each)) for n, a in arrays.items()
    }
    names = list(given)
    aliases = in_place(parts, names)
    call = pl.pallas_call(
        _kernel(parts, packing, tiles, names),
        grid=tiles.grid,
        out_shape=[
            jax.ShapeDtypeStruct(_shape(tiles, like.each), like.dtype)
            for like in parts.results.values()
        ],
        input_output_aliases=aliases,
        compiler_params=None if interpret else triton.CompilerParams(num_warps=4),
        interpret=interpret,
        name="adamx_step",
    )
    results = call(*packing.pack(scalars), *given.values())
    pairs = zip(parts.results.items(), results, strict=True)
    return {n: a.reshape(like.shape) for (n, like), a in pairs}


def _shape(tiles: Tiling, each: int) -> tuple[int, int]:
    return tiles.shape[0], -(-tiles.shape[1] // each)


def _kernel(parts: LeafParts, packing: Packing, tiles: Tiling, names: list[str]) -> Any:
    rows, columns = tiles.tile
    compute = body(parts, packing, names, tiles.tile, "cuda")

    def kernel(floats: Any, integers: Any, *refs: Any) -> None:
        first = pl.program_id(0) * rows, pl.program_id(1) * columns

        def place(ref: Any, like: Rows) -> tuple[Any, Any]:
            """Return the tile of an array, and a mask of what it has; None for all."""
            each = columns // like.each
            start = first[0], pl.program_id(1) * each
            ends = _shape(tiles, like.each)
            tile = ref.at[pl.ds(start[0], rows), pl.ds(start[1], each)]
            inside = [
                jax.lax.broadcasted_iota(jnp.int32, (rows, each), axis)
                < ends[axis] - start[axis]
                for axis in (0, 1)
                if ends[axis] % (rows, each)[axis]
            ]
            return tile, functools.reduce(jnp.logical_and, inside) if inside else None

        ins, outs = refs[: len(names)], refs[len(names) :]
        blocks = []
        for name, ref in zip(names, ins, strict=True):
            tile, inside = place(ref, parts.operands[name])
            blocks.append(triton.load(tile, mask=inside))
        scalars = packing.unpack(floats, integers)
        results = compute(*first, scalars, blocks)
        for like, ref, value in zip(parts.results.values(), outs, results, strict=True):
            tile, inside = place(ref, like)
            triton.store(tile, value, mask=inside)

    return kernel
