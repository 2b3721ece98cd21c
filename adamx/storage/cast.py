"""Casting: one number per element, in another dtype."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from .block_codec import BlockCodec, block_of_pieces, pieces_in
from .blocks import Blocks, layout
from .blockwise import check_block, check_rounding, scaled_down
from .codec import Divided, Draw, Kept

_WIDE = ("float32", "bfloat16", "float16")


_FP8 = ("float8_e4m3fn", "float8_e5m2")


def as_dtype(where: str, dtype: Any, known: tuple[str, ...]) -> Any:
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name not in known:
        raise errors.type_error(
            where,
            f"`dtype` must be one of {', '.join(known)}",
            dtype,
            "For integers there is Blockwise.",
        )
    return dtype


def rounded(x: Array, dtype: Any, uniform: Draw | None) -> Array:
    """Round `x`, in float32, to `dtype`: to nearest, or stochastically.

    Stochastic rounding goes up with probability (x - below) / (above - below), which is
    unbiased. Infinities and NaN are kept.
    """
    if uniform is None or dtype == jnp.float32:
        return x.astype(dtype)
    if dtype == jnp.bfloat16:
        draw = jnp.floor(uniform(x.shape) * 2.0**16).astype(jnp.uint32)
        bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
        up = jnp.where(jnp.isfinite(x), bits + draw, bits) & jnp.uint32(0xFFFF0000)
        return jax.lax.bitcast_convert_type(up, jnp.float32).astype(dtype)
    info = jnp.finfo(dtype)
    below = jnp.finfo(jnp.float32).nmant
    exponent = jax.lax.bitcast_convert_type(x, jnp.uint32) >> below & 0xFF
    exponent = jnp.maximum(exponent, jnp.uint32(info.minexp + 127))
    spacing = jax.lax.bitcast_convert_type(
        (exponent - info.nmant) << below, jnp.float32
    )
    steps = x / spacing  # exact: a power of two
    down = jnp.floor(steps)
    up = steps - down > uniform(x.shape)
    landed = (down + up.astype(down.dtype)) * spacing
    top = jnp.float32(info.max)
    landed = jnp.clip(landed, -top, top)
    return jnp.where(jnp.isfinite(x), landed, x).astype(dtype)


class Cast(BlockCodec):
    """Cast each number to another dtype.

    The range of the 8-bit floats is too small for a second moment: they are kept with a
    float32 scale for each block, which maps its largest to the highest power of
    two in the range. In a slot that is never negative, numbers that are not zero are
    never rounded to zero.

    Args:
        dtype: float32, bfloat16, float16, float8_e4m3fn or float8_e5m2.
        rounding: "nearest" or "stochastic" (unbiased). With "nearest", a second moment
            in bfloat16 stops changing once a step changes it by less than half a unit
            in its last place.
        block: of how many elements the blocks of the 8-bit floats are, even.

    Kept: the slot itself as a tree like the parameters; `codes` and `scale` for the
    8-bit floats.
    """

    dtype: Any
    rounding: str = "nearest"
    signed: bool | None = dataclasses.field(default=None, kw_only=True)
    block: int = dataclasses.field(default=128, kw_only=True)

    def __post_init__(self) -> None:
        dtype = as_dtype("Cast", self.dtype, _WIDE + _FP8)
        object.__setattr__(self, "dtype", dtype)
        check_rounding("Cast", self.rounding, ("nearest", "stochastic"))
        check_block("Cast", self.block)

    def __repr__(self) -> str:
        rounding = f", {self.rounding!r}" if self.rounding != "nearest" else ""
        return f"Cast(jnp.{self.dtype.name}{rounding}{self._of_block()})"

    def _of_block(self) -> str:
        return f", block={self.block}" if self.block != 128 else ""

    @property
    def parts(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("codes", "scale") if self._scaled else ("",)

    @property
    def _scaled(self) -> bool:
        return self.dtype.name in _FP8

    def bind(self, slot: str, signed: bool) -> "Cast":
        return dataclasses.replace(self, signed=signed)

    def in_blocks(self, shape: tuple[int, ...]) -> bool:
        return self._scaled

    def placed(self, split: Any) -> "Cast":
        pieces = pieces_in(split)
        if not self._scaled or max(pieces, default=1) == 1:
            return self
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _OfPieces(**fields, pieces=pieces)

    def is_alike(self, part: str) -> bool:
        return part != "scale"

    def form(self) -> str:
        return f"Cast({self.dtype.name}{self._of_block().replace(' ', '')})"

    def scale(self, x: Float[Array, "..."]) -> Array | None:
        if not self._scaled:
            return None
        return self._scale(self.layout_of(x.shape).largest(x.astype(jnp.float32)))

    def divided(self, shape: tuple[int, ...]) -> Divided | None:
        if not self._scaled:
            return Divided(self, None, 1)
        return Divided(self, self.layout_of(shape).n, self.block)

    def zeros(self, x: Float[Array, "..."]) -> Kept | None:
        if not self._scaled:
            return None
        lay = self.layout_of(x.shape)
        scale = lay.first(x.astype(jnp.float32)).reshape(lay.ranked(lay.blocks))
        return {"codes": x.astype(self.dtype), "scale": scale}

    def encode(
        self, x: Float[Array, "..."], uniform: Draw, scale: Array | None = None
    ) -> Kept:
        x = x.astype(jnp.float32)
        draw = uniform if self.rounding == "stochastic" else None
        if not self._scaled:
            return {"": self._kept_off_zero(x, rounded(x, self.dtype, draw))}
        lay = self.layout_of(x.shape)
        scale = self._scale(lay.largest(x)) if scale is None else scale

        def shares(lay: Blocks, x: Array, scale: Array) -> Array:
            return lay.join(scaled_down(lay, lay.split(x), scale), x.shape)

        codes = rounded(lay.suited(shares, x, scale), self.dtype, draw)
        codes = self._kept_off_zero(x, codes)
        return {"codes": codes, "scale": scale.reshape(lay.ranked(lay.blocks))}

    def _scale(self, largest: Array) -> Array:
        """Divide `largest` by a power of two, so that it is decoded exactly.

        If the result is below the range of float32, return the smallest normal float32.
        """
        power = math.floor(math.log2(jnp.finfo(self.dtype).max))
        least = jnp.finfo(jnp.float32).tiny
        return jnp.where(largest > 0, jnp.maximum(largest * 2.0**-power, least), 0)

    def _kept_off_zero(self, x: Array, kept: Array) -> Array:
        if self.signed is not False or self.dtype in (jnp.float32, jnp.bfloat16):
            return kept  # they have the exponent range of float32
        least = jnp.finfo(self.dtype).smallest_subnormal
        return jnp.where((x > 0) & (kept == 0), least.astype(self.dtype), kept)

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        if not self._scaled:
            return kept[""].astype(jnp.float32)
        lay = self.as_kept(kept, shape).layout_of(shape)
        scale = kept["scale"].reshape(*lay.lead, lay.blocks)

        def decoded(lay: Blocks, codes: Array, scale: Array) -> Array:
            numbers = lay.split(codes.astype(jnp.float32)) * lay.spread(scale)
            return lay.join(numbers, shape)

        return lay.suited(decoded, kept["codes"], scale)


class _OfPieces(Cast):
    """The same for arrays that are pieces: their blocks are those of the whole."""

    pieces: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    def layout_of(self, shape: tuple[int, ...]) -> Blocks:
        return layout(shape, block_of_pieces(shape, self.block, self.pieces, None))

    def fitted(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> Cast:
        return self  # `pieces` of the mesh axes of `shard_map` count

    def as_kept(self, kept: Mapping[str, Any], shape: tuple[int, ...]) -> Cast:
        scales = tuple(kept["scale"].shape)
        found = block_of_pieces(shape, self.block, self.pieces, scales)
        return Cast(self.dtype, self.rounding, signed=self.signed, block=found)
