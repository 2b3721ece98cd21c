"""A step of a leaf as one kernel of a TPU: Pallas, lowered by Mosaic.

A window of rows lies in the vector memory; the next is copied meanwhile. It is worked
through in tiles of 32 rows and one block of the codecs, the shape in which a TPU keeps
8-bit numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu

from ..engine.leaf_parts import LeafParts, Rows
from ..storage.blockwise import bytes_split, halves_joined
from .kernel_body import Packing, body, in_place

LANES, ROWS = 128, 32
WINDOW = 1 << 18
"""About how many elements lie in the vector memory, twice of each array."""


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
    if rows < 8:
        return f"it has {rows} rows, and a TPU computes 8 at once"
    packed = max(like.each for like in parts.operands.values() if like.each < 8)
    tile = max(parts.block, LANES) * (packed if parts.block < LANES * packed else 1)
    if tile % LANES or tile % parts.block:
        return f"blocks of {parts.block} elements do not fit {LANES} lanes"
    columns = min(-(-row // tile) * tile, LANES * tile)
    high = max(WINDOW // columns // ROWS, 1) * ROWS
    high = min(high, -(-rows // ROWS) * ROWS)
    return Windows((rows, row), (high, columns), (ROWS, tile))


def run(
    parts: LeafParts,
    packing: Packing,
    arrays: Mapping[str, Any],
    scalars: Sequence,
    interpret: Any = False,
) -> dict[str, Any]:
    """Return the results of a leaf, as rows.

    Args:
        parts: how the step is computed part by part.
        packing: how the scalars are packed.
        arrays: the operands, as rows.
        scalars: the scalars of the step.
        interpret: whether the kernel is run by XLA, on any platform.
    """
    divided = windows(parts)
    assert isinstance(divided, Windows)
    names = list(arrays)
    aliases = in_place(parts, names)

    def spec(like: Rows) -> pl.BlockSpec:
        high, columns = divided.window
        return pl.BlockSpec((high, columns // like.each), lambda i, j: (i, j))

    numbers = pl.BlockSpec(memory_space=tpu.SMEM)
    call = pl.pallas_call(
        _kernel(parts, packing, divided, names),
        grid=divided.grid,
        in_specs=[numbers, numbers, *(spec(parts.operands[n]) for n in names)],
        out_specs=[spec(like) for like in parts.results.values()],
        out_shape=[
            jax.ShapeDtypeStruct(like.shape, like.dtype)
            for like in parts.results.values()
        ],
        input_output_aliases=aliases,
        compiler_params=tpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"), vmem_limit_bytes=100 << 20
        ),
        interpret=interpret,
        name="adamx_step",
    )
    results = call(*packing.pack(scalars), *arrays.values())
    return dict(zip(parts.results, results, strict=True))


def _kernel(
    parts: LeafParts, packing: Packing, divided: Windows, names: list[str]
) -> Any:
    (high, columns), (rows, tile) = divided.window, divided.tile
    compute = body(parts, packing, names, divided.tile, "tpu", _INSTEAD)

    def kernel(floats: Any, integers: Any, *refs: Any) -> None:
        ins, outs = refs[: len(names)], refs[len(names) :]
        scalars = packing.unpack(floats, integers)
        corner = pl.program_id(0) * high, pl.program_id(1) * columns

        def one(i: Any, j: Any) -> None:
            below = pl.ds(pl.multiple_of(i * rows, rows), rows)
            blocks = [
                _read(ref, below, j, tile // parts.operands[n].each)
                for n, ref in zip(names, ins, strict=True)
            ]
            first = corner[0] + i * rows, corner[1] + j * tile
            results = compute(*first, scalars, blocks)
            for ref, value in zip(outs, results, strict=True):
                _write(ref, below, j, value)

        def each(k: Any, _: Any) -> Any:
            across = jnp.int32(columns // tile)
            one(jax.lax.div(k, across), jax.lax.rem(k, across))
            return _

        tiles = high // rows * (columns // tile)
        jax.lax.fori_loop(jnp.int32(0), jnp.int32(tiles), each, 0)

    return kernel


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


_INSTEAD = {
    "sign": _sign,
    bytes_split.__name__: _bytes_split,
    halves_joined.__name__: _halves_joined,
}
