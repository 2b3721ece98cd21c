"""A step of a leaf as one kernel of a TPU: Pallas, lowered by Mosaic.

A window of the leaf lies in the vector memory; the next is copied meanwhile. It is
worked through in tiles of 32 rows and one block of the codecs, the shape in which a TPU
keeps 8-bit numbers. An array with few numbers in each row, as scales are, is given with
its rows along the lanes: the other way, XLA would fill each row up to 128 lanes.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu

from ..engine.inlining import name_of
from ..engine.leaf_parts import LeafParts, Rows
from ..numerics.halves import bytes_split, halves_joined
from .body import ELEMENTWISE, SHAPING, Platform, in_place, prepared_by
from .scalars import Packing

LANES, SUBLANES, ROWS = 128, 8, 32
WIDTH, WINDOW = 1024, 1 << 17
"""About the columns of a window, and its elements."""
VECTOR_MEMORY = 12 << 20
"""The bytes that every TPU has for windows, beside those of the program."""


def unknown() -> str:
    """Return why no kernel can be made for the TPU of a program: none is needed."""
    return ""


class Windows(NamedTuple):
    """How a leaf is divided: its rows and columns, those of a window and of a tile."""

    shape: tuple[int, int]
    window: tuple[int, int]
    tile: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        rows, columns = (
            -(-n // w) for n, w in zip(self.shape, self.window, strict=True)
        )
        return rows, columns


def windows(parts: LeafParts) -> Windows | str:
    """Return how a leaf is divided, or why it cannot be."""
    rows, row = parts.shape
    if rows < SUBLANES:
        return f"it has {rows} rows, and a TPU computes {SUBLANES} at once"
    # other arrays are copied before and after the kernel, which is worth it for codecs
    plain = parts.block == 1
    if plain and row % LANES:
        return f"its rows of {row} elements do not fill {LANES} lanes"
    merged = row != parts.leaf[-1] or (len(parts.leaf) > 2 and parts.leaf[-2] % ROWS)
    if plain and merged:
        return f"{parts.leaf} is not kept in rows of {row}, {ROWS} together"
    packed = max(like.each for like in parts.operands.values() if like.each < 8)
    tile = max(parts.block, LANES) * (packed if parts.block < LANES * packed else 1)
    if tile % LANES or tile % parts.block:
        return f"blocks of {parts.block} elements do not fit {LANES} lanes"
    across = -(-row // tile) * tile
    fewest = max(like.each for like in parts.operands.values()) * SUBLANES
    columns = min(across, max(WIDTH // tile * tile, math.lcm(fewest, tile)))
    high = max(WINDOW // columns // LANES, 1) * LANES
    high = min(high, -(-rows // LANES) * LANES)
    return Windows((rows, row), (high, columns), (ROWS, tile))


def prepared(parts: LeafParts, packing: Packing) -> "Kernel | str":
    """Return the kernel of a leaf, or why there is none."""
    return prepared_by(windows, PLATFORM, Kernel, parts, packing)


class Kernel(NamedTuple):
    """The kernel of a leaf: its parts, scalars, windows, and what a tile computes."""

    parts: LeafParts
    packing: Packing
    divided: Windows
    compute: Any

    def run(
        self, arrays: Mapping[str, Any], packed: tuple, interpret: bool = False
    ) -> dict[str, Any]:
        """Return the results of a leaf, as rows, given the operands as rows
        and the scalars as `Packing.pack` returns them.

        With `interpret` the kernel is run by XLA, on any platform.
        """
        operands, results = self.parts.operands, self.parts.results
        flipped = [*filter(_is_flipped, [*operands.values(), *results.values()])]
        numbers = pl.BlockSpec(memory_space=tpu.SMEM)
        call = pl.pallas_call(
            self._program,
            grid=self.divided.grid,
            in_specs=[numbers, numbers, *map(self._window, operands.values())],
            out_specs=[*map(self._window, results.values())],
            out_shape=[
                jax.ShapeDtypeStruct(_given(like), like.dtype)
                for like in results.values()
            ],
            scratch_shapes=[tpu.VMEM(self._inside(x), x.dtype) for x in flipped],
            input_output_aliases=in_place(self.parts),
            compiler_params=tpu.CompilerParams(
                dimension_semantics=("parallel", "parallel"),
                vmem_limit_bytes=self._memory(),
            ),
            interpret=interpret,
            name="adamx_step",
        )
        given = [
            arrays[n].T if _is_flipped(like) else arrays[n]
            for n, like in operands.items()
        ]
        pairs = zip(results.items(), call(*packed, *given), strict=True)
        return {n: a.T if _is_flipped(like) else a for (n, like), a in pairs}

    def _memory(self) -> int:
        """Return how many bytes the windows may have: two of each array, and more."""
        every = [*self.parts.operands.values(), *self.parts.results.values()]
        held = sum(math.prod(self._inside(x)) * x.dtype.itemsize for x in every)
        return max(VECTOR_MEMORY, 3 * held) + (4 << 20)

    def _inside(self, like: Rows) -> tuple[int, int]:
        """Return the rows and columns of an array's window."""
        rows, columns = self.divided.window
        return rows, columns // like.each

    def _window(self, like: Rows) -> pl.BlockSpec:
        shape = self._inside(like)
        if _is_flipped(like):
            return pl.BlockSpec(shape[::-1], lambda i, j: (j, i))
        return pl.BlockSpec(shape, lambda i, j: (i, j))

    def _program(self, alike: Any, word: Any, *refs: Any) -> None:
        """Compute one window, tile by tile."""
        (high, columns), (rows, tile) = self.divided.window, self.divided.tile
        operands = list(self.parts.operands.values())
        every = operands + list(self.parts.results.values())
        turned = iter(refs[len(every) :])
        views = [
            next(turned) if _is_flipped(like) else ref
            for like, ref in zip(every, refs[: len(every)], strict=True)
        ]
        ins, outs = views[: len(operands)], views[len(operands) :]
        for view, ref in zip(ins, refs[: len(operands)], strict=True):
            if view is not ref:
                view[...] = ref[...].T
        scalars = self.parts.keyed(self.packing.unpack(alike, word))
        corner = pl.program_id(0) * high, pl.program_id(1) * columns
        across = columns // tile

        def one(k: Any, nothing: Any) -> Any:
            i = jax.lax.div(k, jnp.int32(across))
            j = jax.lax.rem(k, jnp.int32(across))
            below = pl.ds(pl.multiple_of(i * rows, rows), rows)
            pairs = zip(ins, operands, strict=True)
            blocks = [_read(ref, below, j, tile // like.each) for ref, like in pairs]
            first = corner[0] + i * rows, corner[1] + j * tile
            new = self.compute(*first, scalars, blocks)
            for ref, value in zip(outs, new, strict=True):
                _write(ref, below, j, value)
            return nothing

        # no more than the rows that there are
        left = jnp.minimum(self.divided.shape[0] - corner[0], high) + rows - 1
        tiles = jax.lax.div(left, jnp.int32(rows)) * across
        jax.lax.fori_loop(jnp.int32(0), tiles, one, 0)
        for view, ref in zip(outs, refs[len(operands) : len(every)], strict=True):
            if view is not ref:
                ref[...] = view[...].T


def _is_flipped(like: Rows) -> bool:
    return like.shape[1] < LANES and like.each >= SUBLANES


def _given(like: Rows) -> tuple[int, int]:
    """Return the shape in which an array is given to a kernel."""
    rows, columns = like.shape
    return (columns, rows) if _is_flipped(like) else (rows, columns)


def _read(ref: Any, below: Any, j: Any, width: int) -> Any:
    """Return the j-th tile of some rows, which has `width` numbers in each."""
    if width % LANES == 0:
        return ref[below, pl.ds(pl.multiple_of(j * width, LANES), width)]
    row = ref[below, :]  # a few numbers of each row, in lanes known only at run time
    lane = jax.lax.broadcasted_iota(jnp.int32, row.shape, 1) - j * width
    one = [jnp.where(lane == k, row, 0).sum(1, keepdims=True) for k in range(width)]
    return one[0] if width == 1 else jnp.concatenate(one, axis=1)


def _write(ref: Any, below: Any, j: Any, value: Any) -> None:
    width = value.shape[1]
    if width % LANES == 0:
        ref[below, pl.ds(pl.multiple_of(j * width, LANES), width)] = value
        return
    row = ref[below, :]
    lane = jax.lax.broadcasted_iota(jnp.int32, row.shape, 1) - j * width
    for k in range(width):
        row = jnp.where(lane == k, value[:, k : k + 1], row)
    ref[below, :] = row


# ---- what Mosaic does not have, or does badly --------------------------------


def _sign(x: Any) -> Any:
    """Return -1, 0 or 1 (or NaN), where Mosaic asks which TPU it is to do that."""
    one = jnp.ones_like(x)
    return jnp.where(x > 0, one, jnp.where(x < 0, -one, x))


def _bytes_split(packed: Any) -> Any:
    """Put the halves of bytes into neighbouring lanes, by exact products of matrices.

    A TPU has no arithmetic of 8 bits, and moves numbers between lanes one by one.
    """
    k = packed.shape[1]
    wide = packed.astype(jnp.int32)
    low, high = (x.astype(jnp.bfloat16) for x in (wide & 15, wide >> 4))
    return (_to_lane(low, _ones(k, 0)) + _to_lane(high, _ones(k, 1))).astype(jnp.int32)


def _halves_joined(row: Any, offset: Any) -> Any:
    """Pack each two numbers of a row, plus the offset, into a byte, in the same way."""
    wide = (row.astype(jnp.int32) + offset.astype(jnp.int32)).astype(jnp.bfloat16)
    k = row.shape[1] // 2
    joined = _to_lane(wide, _ones(k, 0).T + 16 * _ones(k, 1).T)
    return joined.astype(jnp.int32).astype(jnp.uint8)


def _ones(k: int, half: int) -> Any:
    """Return the matrix that moves lane i to lane 2i, or 2i + 1."""
    i, j = (jax.lax.broadcasted_iota(jnp.int32, (k, 2 * k), axis) for axis in (0, 1))
    return (j == 2 * i + half).astype(jnp.bfloat16)


def _to_lane(x: Any, matrix: Any) -> Any:
    return jnp.dot(x, matrix, preferred_element_type=jnp.float32)


PLATFORM = Platform(
    "tpu",
    ELEMENTWISE
    | SHAPING
    | {"concatenate", "dot_general", "erf", "round", "slice", "transpose"},
    {
        "sign": _sign,
        name_of(bytes_split): _bytes_split,
        name_of(halves_joined): _halves_joined,
    },
    frozenset(
        {
            *("float32", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
            *("int8", "uint8", "int16", "uint16", "int32", "uint32"),
        }
    ),
)
