"""A step of a leaf as one kernel of a GPU: Pallas, lowered by Triton.

A program takes a tile of the leaf into registers. Tiles and blocks of codecs have a
power of two of elements, as Triton asks.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ..engine.inlining import name_of
from ..engine.leaf_parts import LeafParts, Rows
from ..numerics.halves import halves_joined
from .body import ELEMENTWISE, SHAPING, Platform, in_place, prepared_by
from .scalars import Packing

TILE = 1024
"""The elements of a tile: 8 for each of 128 threads."""


def unknown() -> str:
    """Return why no kernel can be made for the GPU of a program; nothing if it can.

    Pallas asks which GPU it is, also where a program is lowered without one.
    """
    ask = getattr(triton, "get_gpu_info", None)
    try:
        ask() if ask else None  # not in older versions of JAX
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


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
    if rows * row >= 2**31:  # what a kernel computes places with has 32 bits
        return f"it has {rows * row:,} elements, 2,147,483,647 at most"
    if parts.whole_rows and row % parts.block == 0:  # no block goes on in the next row
        rows, row = 1, rows * row
    columns = max(parts.block, min(TILE, _power_above(row)))
    return Tiling(
        (rows, row), (max(1, min(TILE // columns, _power_above(rows))), columns)
    )


def _power_above(n: int) -> int:
    return 1 << (n - 1).bit_length()


def prepared(parts: LeafParts, packing: Packing) -> "Kernel | str":
    """Return the kernel of a leaf, or why there is none."""
    return prepared_by(tiling, PLATFORM, Kernel, parts, packing)


class Kernel(NamedTuple):
    """The kernel of a leaf: its parts, scalars and tiles, and what one computes."""

    parts: LeafParts
    packing: Packing
    tiles: Tiling
    compute: Any

    def run(
        self, arrays: Mapping[str, Any], packed: tuple, interpret: bool = False
    ) -> dict[str, Any]:
        """Return the results of a leaf, as rows, given the operands as rows
        and the scalars as `Packing.pack` returns them.

        With `interpret` the kernel is run by XLA, on any platform.
        """
        operands, results = self.parts.operands, self.parts.results
        shapes = [self._shape(like) for like in operands.values()]
        pairs = zip(operands, shapes, strict=True)
        given = [arrays[name].reshape(shape) for name, shape in pairs]
        call = pl.pallas_call(
            self._program,
            grid=self.tiles.grid,
            out_shape=[
                jax.ShapeDtypeStruct(self._shape(like), like.dtype)
                for like in results.values()
            ],
            input_output_aliases=in_place(self.parts),
            compiler_params=None if interpret else triton.CompilerParams(num_warps=4),
            interpret=interpret,
            name="adamx_step",
        )
        done = call(*packed, *given)
        pairs = zip(results.items(), done, strict=True)
        return {n: a.reshape(like.shape) for (n, like), a in pairs}

    def _shape(self, like: Rows) -> tuple[int, int]:
        rows, columns = self.tiles.shape
        return rows, -(-columns // like.each)

    def _program(self, alike: Any, word: Any, *refs: Any) -> None:
        """Compute one tile."""
        operands, results = self.parts.operands.values(), self.parts.results.values()
        ins, outs = refs[: len(operands)], refs[len(operands) :]
        blocks = []
        for ref, like in zip(ins, operands, strict=True):
            tile, inside = self._place(ref, like)
            blocks.append(triton.load(tile, mask=inside))
        rows, columns = self.tiles.tile
        first = pl.program_id(0) * rows, pl.program_id(1) * columns
        scalars = self.parts.keyed(self.packing.unpack(alike, word))
        new = self.compute(*first, scalars, blocks)
        for ref, like, value in zip(outs, results, new, strict=True):
            tile, inside = self._place(ref, like)
            triton.store(tile, value, mask=inside)

    def _place(self, ref: Any, like: Rows) -> tuple[Any, Any]:
        """Return the tile of an array, and a mask of what it has; None for all."""
        tile = self.tiles.tile[0], self.tiles.tile[1] // like.each
        start = [pl.program_id(axis) * tile[axis] for axis in (0, 1)]
        ends = self._shape(like)
        inside = [
            jax.lax.broadcasted_iota(jnp.int32, tile, axis) < ends[axis] - start[axis]
            for axis in (0, 1)
            if ends[axis] % tile[axis]
        ]
        here = ref.at[pl.ds(start[0], tile[0]), pl.ds(start[1], tile[1])]
        return here, functools.reduce(jnp.logical_and, inside) if inside else None


def _halves_joined(row: Any, offset: Any) -> Any:
    """Pack each two numbers of a row, plus the offset, into a byte."""
    pairs = (row.astype(jnp.uint8) + offset).reshape(row.shape[0], -1, 2)
    low, high = jnp.unstack(pairs, axis=-1)
    return low | (high << 4)


PLATFORM = Platform(
    "cuda",
    ELEMENTWISE
    | SHAPING
    | {"acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cosh", "expm1"}
    | {"sign", "sinh", "stack", "unstack"},
    {name_of(halves_joined): _halves_joined},
    frozenset(
        {
            *("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"),
            *("int8", "uint8", "int16", "uint16", "int32", "uint32"),
        }
    ),
)
