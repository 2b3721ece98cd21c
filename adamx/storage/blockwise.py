"""Blockwise quantization: integers of 8 or 4 bits with a float32 scale per block."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.state import absent, is_absent
from ..numerics.halves import bytes_split, halves_joined
from ..numerics.splits import shards
from .block_codec import BlockCodec, block_of_pieces, pieces_in, whole_of
from .blocks import FEWEST, Blocks, layout
from .codec import Codec, Divided, Draw, Kept
from .quantization_maps import Companded, Minifloat, QuantizationMap

ROUNDINGS = ("nearest", "stochastic", "dither")


# Numbers this near to a level, in units of the distance to the next, count as at it:
# float32 is no more exact, and decoded numbers must be encoded to the same integers.
_AT_LEVEL = 2.0**-15


def check_rounding(where: str, rounding: Any, known: tuple[str, ...]) -> None:
    if rounding not in known:
        raise errors.AdamxError(
            f"{where}: `rounding` must be one of {', '.join(map(repr, known))}, got "
            f"{rounding!r}. {known[1]!r} is right on average, so that an average that "
            f"moves by less than a level is not stuck."
        )


def check_block(where: str, block: Any) -> None:
    if not isinstance(block, int) or block < 2 or block % 2:
        raise errors.AdamxError(
            f"{where}: `block` must be an even number of elements, at least 2, got "
            f"{block!r}. Two 4-bit codes share a byte; 128 is usual."
        )


def rises(part: Array, rounding: str, uniform: Draw, spread: Any) -> Array:
    """Return whether to round up a number that is `part` of the way to the next level.

    `spread(draw)` expands one random number per block to one per element.
    """
    if rounding == "nearest":
        return part >= 0.5
    draw = uniform(part.shape) if spread is None else spread(uniform)
    return part > _AT_LEVEL + draw * (1 - 2 * _AT_LEVEL)


def scaled_down(lay: Blocks, blocks: Array, scale: Array) -> Array:
    """Divide what `lay.split` returned by the scales; 0 stays 0, NaN stays NaN.

    Both are divided by 4 first if the scale is large: 1 / 2¹²⁷ is subnormal, hence 0.
    """
    tiny = jnp.finfo(jnp.float32).tiny
    part = jnp.where(scale > 1, jnp.float32(0.25), 1)
    inverse = jnp.where(scale < tiny, 0, 1 / jnp.where(scale < tiny, 1, scale * part))
    return blocks * lay.spread(part) * lay.spread(inverse)


class Blockwise(BlockCodec):
    """Quantize blocks to integers of 8 or 4 bits, scaled by their largest magnitude.

        s = max |x| over the block,    x ≈ sign(x) · s · level(k)

    Stochastic rounding is unbiased: it rounds up with the probability that makes the
    mean x itself, so that an average that changes slowly is not stuck. With `floor`, a
    number that is not zero is never rounded to zero in a slot that is never negative:
    the smallest level is a bias upward, whereas zero would make an update hundreds of
    times too large. A block with a number that is not finite decodes to numbers that
    are not finite.

    Args:
        bits: 8 or 4; with 4, two integers share a byte.
        block: how many elements share a scale, even.
        code: the quantization map: `Minifloat()` (the default at 8 bits: for blocks of
            many decades, and the cheapest), `Companded()` (the default at 4),
            `DynamicMap()`, `Logarithmic()`, `Linear()`.
        rounding: "nearest", "stochastic", or "dither": one random number per block.
        floor: whether numbers that are not zero are never rounded to zero.
        min_size: arrays with fewer elements are kept in float32.
        signed: whether negative numbers can be kept; None for what the slot says.
        shards: into how many pieces the last axis of an array is divided on a mesh. The
            blocks of an array whose last axis has n elements are then of the largest
            even number of elements, at most `block`, that divides n / shards, so that
            codes and scales are divided as the array is, and the state is the same on
            any mesh and without one. If no such number is at least 16, blocks are of
            `block`; `memory_plan` says so. With 1, blocks are of `block`.

    Without `shards`, `init` chooses the blocks of each array by its sharding, where it
    sees that: outside `jit`, and on Explicit axes also inside. Where pieces of 96
    elements are on a device, in which a block of 128 does not end, the blocks are of
    96: the largest even number, at most `block` and at least 16, with which codes and
    scales are divided as the array is. The shape of the scales tells it, so that each
    step reads it from the state, and `adamx.restore` brings it into another.

    Kept: `codes` and `scale`, (8 or 4) + 32 / block bits per element.

    Reference: Dettmers et al., "8-bit optimizers via block-wise quantization", ICLR
    2022, arXiv:2110.02861, there rounded to nearest; rounding and floor are adamx's.
    """

    bits: int = 8
    block: int = 128
    code: Any = dataclasses.field(default=None, kw_only=True)
    rounding: str = dataclasses.field(default="stochastic", kw_only=True)
    floor: bool = dataclasses.field(default=True, kw_only=True)
    min_size: int = dataclasses.field(default=4096, kw_only=True)
    signed: bool | None = dataclasses.field(default=None, kw_only=True)
    shards: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise errors.AdamxError(
                f"Blockwise: `bits` must be 8 or 4, got {self.bits!r}. For 16 use "
                f"Cast(jnp.bfloat16, 'stochastic')."
            )
        check_block("Blockwise", self.block)
        if not (self.code is None or isinstance(self.code, QuantizationMap)):
            raise errors.type_error(
                "Blockwise",
                "`code` must be a code",
                repr(self.code),
                "Pass for example Minifloat(), Companded() or DynamicMap().",
            )
        check_rounding("Blockwise", self.rounding, ROUNDINGS)
        if not isinstance(self.min_size, int) or self.min_size < 0:
            raise errors.AdamxError(
                f"Blockwise: `min_size` must be a number of elements, got "
                f"{self.min_size!r}. Pass 0 to code every array."
            )
        given = self.shards is not None
        if given and (not isinstance(self.shards, int) or self.shards < 1):
            raise errors.AdamxError(
                f"Blockwise: `shards` must be the number of pieces of the last axis, "
                f"at least 1, got {self.shards!r}. Pass the size of the mesh axes over "
                f"which it is divided, such as mesh.shape['model']."
            )
        if self.signed is not None:
            self._code.check(self._top)

    def bind(self, slot: str, signed: bool) -> "Blockwise":
        if self.signed is False and signed:
            raise errors.AdamxError(
                f"store: {self!r} must hold a slot that is never negative, got "
                f"{slot!r}. Leave signed= out: the slot says whether it needs a sign."
            )
        return dataclasses.replace(self, signed=self.signed or signed)

    def placed(self, split: Any) -> "Blockwise":
        here = dataclasses.replace(self, min_size=-(-self.min_size // shards(split)))
        pieces = pieces_in(split)
        if max(pieces, default=1) == 1 or (self._divisor > 1 and pieces[-1] == 1):
            return here
        return _OfPieces(**_fields(here), pieces=pieces)

    def in_blocks(self, shape: tuple[int, ...]) -> bool:
        return self._divisor == 1 and not self._small(shape)

    def fitted(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> "Blockwise":
        return super().fitted(shape, pieces) if self.shards is None else self

    def is_coded(self, shape: tuple[int, ...]) -> bool:
        return not self._small(shape)

    def remedy(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> str:
        fitted = dataclasses.replace(self, shards=pieces[-1])
        if fitted.undivided_axis(shape, pieces) is None:
            return f"Blockwise(shards={pieces[-1]})"
        return super().remedy(shape, pieces)

    def layout_of(self, shape: tuple[int, ...]) -> Blocks:
        """Return the division of an array of this shape into blocks."""
        lay = layout(shape, self.block)
        if self._divisor == 1 or lay.merged > 1 or lay.n % self._divisor:
            return lay
        piece = lay.n // self._divisor
        for block in range(min(self.block, piece), FEWEST - 1, -1):
            if block % 2 == 0 and piece % block == 0:
                return lay._replace(block=block)
        return lay

    @property
    def _divisor(self) -> int:
        """How many pieces of the last axis the caller names, 1 for none."""
        return self.shards or 1

    @property
    def _code(self) -> QuantizationMap:
        return self.code or (Minifloat() if self.bits == 8 else Companded())

    @property
    def _top(self) -> int:
        """The index of the highest level."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    def _small(self, shape: tuple[int, ...]) -> bool:
        return _size(shape) < self.min_size

    def form(self) -> str:
        read = dataclasses.replace(  # whatever the rounding
            self, code=self._code, rounding="stochastic", floor=True
        )
        if self.shards == 1:  # they are told from fitted ones by the scales
            read = dataclasses.replace(read, shards=None)
        return Codec.form(read)

    def note(self, shape: tuple[int, ...]) -> str:
        if self._small(shape):
            return f"float32, fewer than {self.min_size:,} elements"
        lay = self.layout_of(shape)
        merged = f", last {lay.merged} axes merged" if lay.merged > 1 else ""
        fitted = f", blocks of {lay.block}" if lay.block != self.block else ""
        if lay.n % (self._divisor * lay.block) and self._divisor > 1:
            fitted = f", no block fits {self.shards} shards"
        return f"{self!r}{merged}{fitted}"

    def is_alike(self, part: str) -> bool:
        return part != "scale" and self.bits == 8

    def scale(self, x: Float[Array, "..."]) -> Array | None:
        if self._small(x.shape):
            return None
        return self.layout_of(x.shape).largest(x.astype(jnp.float32))

    def divided(self, shape: tuple[int, ...]) -> Divided | None:
        if self._small(shape):
            return None
        lay = self.layout_of(shape)
        of_part = dataclasses.replace(self, min_size=0, block=lay.block, shards=1)
        return Divided(of_part, lay.n, lay.block)

    def zeros(self, x: Float[Array, "..."]) -> Kept | None:
        if self._small(x.shape):
            return None
        lay = self.layout_of(x.shape)
        k = x.astype(jnp.int8 if self.signed else jnp.uint8)
        codes = k if self.bits == 8 else self._packed(lay, k)
        scale = lay.first(x.astype(jnp.float32))
        return {"codes": codes, "scale": scale.reshape(lay.ranked(lay.blocks))}

    def encode(
        self, x: Float[Array, "..."], uniform: Draw, scale: Array | None = None
    ) -> Kept:
        if self._small(x.shape):
            return {"codes": x.astype(jnp.float32), "scale": absent()}
        lay = self.layout_of(x.shape)
        x = x.astype(jnp.float32)
        largest = lay.largest(x) if scale is None else scale

        def coded(lay: Blocks, x: Array, scale: Array) -> Array:
            blocks = lay.split(x)
            k = self._round(scaled_down(lay, blocks, scale), uniform, lay)
            if self.floor and not self.signed:
                # of x, as x / scale may be subnormal; where the scale is inf, 0 is NaN
                some = (blocks > 0) & lay.spread(jnp.isfinite(scale))
                k = jnp.where(some, jnp.maximum(k, 1), k)
            return lay.join(k.astype(jnp.int8 if self.signed else jnp.uint8), x.shape)

        k = lay.suited(coded, x, largest)
        if self.bits == 4 and scale is not None:
            # on a GPU, where XLA would keep x in its place, of four times as many bytes
            k = jax.lax.optimization_barrier(k)
        codes = k if self.bits == 8 else self._packed(lay, k)
        return {"codes": codes, "scale": largest.reshape(lay.ranked(lay.blocks))}

    def _round(self, shares: Array, uniform: Draw, lay: Blocks) -> Array:
        top, sign = self._top, bool(self.signed)
        size = jnp.clip(jnp.abs(shares) if sign else shares, 0, 1)
        k, part = self._code.between(size, top, sign)

        def once(draw: Draw) -> Any:
            return jnp.broadcast_to(
                lay.spread(draw((*lay.lead, lay.blocks))), part.shape
            )

        def inside(draw: Draw) -> Any:
            # drawn in the array's own shape: they depend on the element's index
            return lay.split(draw((*lay.lead, lay.n)))

        spread = once if self.rounding == "dither" else inside
        up = rises(part, self.rounding, uniform, spread)
        k = jnp.minimum(k + up.astype(k.dtype), top)
        return jnp.where(shares < 0, -k, k) if sign else k

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        codes, scale = kept["codes"], kept["scale"]
        if self._small(shape):
            return codes
        lay = self.as_kept(kept, shape).layout_of(shape)
        k = codes if self.bits == 8 else unpacked(lay, codes)

        def decoded(lay: Blocks, k: Array, scale: Array) -> Array:
            k = lay.split(k).astype(jnp.float32)
            if self.bits == 4 and self.signed:
                k = k - self._top
            level = self._code.level(k, self._top, bool(self.signed))
            return lay.join(level * lay.spread(scale), shape)

        return lay.suited(decoded, k, scale.reshape(*lay.lead, lay.blocks))

    def _packed(self, lay: Blocks, k: Array) -> Array:
        """Pack two integers into a byte along the row, the first in the low half."""
        none = self._top if self.signed else 0  # what zero is packed as
        row = k.reshape(*lay.lead, lay.n)
        if lay.n % 2:
            row = jnp.pad(row, [(0, 0)] * len(lay.lead) + [(0, 1)])
        return halves_joined(row, jnp.uint8(none)).reshape(lay.ranked(-(-lay.n // 2)))


def _fields(codec: Blockwise) -> dict[str, Any]:
    return {f.name: getattr(codec, f.name) for f in dataclasses.fields(codec)}


class _OfPieces(Blockwise):
    """The same for arrays that are pieces: their blocks are those of the whole."""

    pieces: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    def layout_of(self, shape: tuple[int, ...]) -> Blocks:
        if self.shards == 1:
            return layout(shape, self.block)
        if self.shards is None:
            return layout(shape, block_of_pieces(shape, self.block, self.pieces, None))
        lay = super().layout_of(whole_of(shape, self.pieces))
        if lay.merged > 1 or lay.n % (self.pieces[-1] * lay.block):
            return layout(shape, self.block)
        return lay._replace(n=shape[-1])

    def fitted(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> Blockwise:
        return self  # `pieces` of the mesh axes of `shard_map` count

    def as_kept(self, kept: Mapping[str, Any], shape: tuple[int, ...]) -> Blockwise:
        scale = kept["scale"]
        if is_absent(scale) or not self.in_blocks(shape):
            return self
        found = block_of_pieces(shape, self.block, self.pieces, tuple(scale.shape))
        fields = _fields(self)
        del fields["pieces"]
        return dataclasses.replace(Blockwise(**fields), block=found)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def unpacked(lay: Blocks, codes: Array) -> Array:
    """Return the integers of 4 bits that are packed in bytes, a row of them."""
    packed = codes.reshape(*lay.lead, -(-lay.n // 2))
    return bytes_split(packed)[..., : lay.n]
