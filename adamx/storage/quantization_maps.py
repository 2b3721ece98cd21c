"""Quantization maps: the numbers in [0, 1] that integers stand for (their levels).

A map has K + 1 levels, 0 = level(0) < level(1) < … < level(K) = 1, and for slots with
a sign level(-k) = -level(k). With a sign K is 127 at 8 bits and 7 at 4, without 255 and
15. Both ends are levels, so that the largest number of a block is exact.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import errors
from ..engine.value import Value


class QuantizationMap(Value):
    """Base class of quantization maps: write `level` and `between`."""

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        """Return the number of level k; k may be negative if the slot is signed."""
        raise NotImplementedError

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        """Return the level k at or below x in [0, 1], and how near x is to k + 1."""
        raise NotImplementedError

    def check(self, top: int) -> None:
        """Raise an error if float32 does not hold `top` levels above zero."""

    def book(self, top: int, signed: bool) -> np.ndarray:
        """Return all levels, ascending, with the negative ones for signed slots."""
        lowest = -top if signed else 0
        return np.asarray(self.level(jnp.arange(lowest, top + 1.0), top, signed))


def _ending_at_one(level: Array, k: Array, top: int) -> Array:
    """Make the ends exactly ±1, as compiled K / K is K times a rounded 1 / K."""
    return jnp.where(jnp.abs(k) == top, jnp.sign(k), level)


class Linear(QuantizationMap):
    """Use linear levels `k / K`, as a baseline: small numbers in a block become 0."""

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        return _ending_at_one(k / top, k, top)

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        r = x * top
        k = jnp.floor(r)
        return k, r - k


class Companded(QuantizationMap):
    """Use companded levels, finer near zero: signed `k / (2K - k)`, else `(k / K)²`.

    The signed map inverts the softsign z = 2x / (1 + |x|); the other is linear in the
    root of the second moment, by which an update is divided.

    Reference: "FlashOptim", 2026, arXiv:2602.23349 (there without the floor, rounded to
    nearest and with float16 scales).
    """

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        # one division with one use: XLA keeps a quotient that is used twice
        if not signed:
            return _ending_at_one(k * k / top**2, k, top)
        return k / (2 * top - jnp.abs(k))

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        if not signed:
            square = x * (top * top)
            k = jnp.floor(jnp.sqrt(square))
            return k, (square - k * k) / (2 * k + 1)
        k = jnp.floor(2 * top * x / (1 + x))
        # (x - a) / (b - a) of the levels a, b at k, k + 1, with one denominator
        return k, (x * (2 * top - k) - k) * (2 * top - k - 1) * (0.5 / top)


class Minifloat(QuantizationMap):
    """Use floating-point levels of few bits: octaves, with linear levels inside.

    With p bits of mantissa, `level(K - j)` is the j-th float32 of p bits below 1: at 8
    bits and p = 3, 8 levels per octave over 31 octaves, 15 for signed slots. Encoding
    and decoding take two integer operations each; the relative error is about the same
    for all numbers.

    Args:
        mantissa: p, the bits of the mantissa, 0 to 6; at 8 bits without a sign 2 to 6,
            since with fewer the lowest level would be below float32.
    """

    mantissa: Any = 3

    def __post_init__(self) -> None:
        if self.mantissa not in range(7):
            raise errors.AdamxError(
                f"Minifloat: `mantissa` must be a number of bits from 0 to 6, got "
                f"{self.mantissa!r}. 3 is usual; each more halves the range in octaves."
            )

    def check(self, top: int) -> None:
        if (self._first(top) + 1) >> self.mantissa < 1:
            raise errors.AdamxError(
                f"Minifloat: `mantissa` must leave {top} levels within float32, got "
                f"{self.mantissa}. The lowest would be no number; pass 2 or more."
            )

    def _shift(self) -> int:
        return np.finfo(np.float32).nmant - self.mantissa

    def _first(self, top: int) -> int:
        """Return the bits that level 0 would have, without those below the mantissa."""
        return (int(np.float32(1).view(np.int32)) >> self._shift()) - top

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        place = jnp.abs(k).astype(jnp.int32)
        bits = (place + self._first(top)) << self._shift()
        size = jnp.where(place > 0, jax.lax.bitcast_convert_type(bits, jnp.float32), 0)
        return jnp.where(k < 0, -size, size) if signed else size

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)
        shift, first = self._shift(), self._first(top)
        k = (bits >> shift) - first
        part = (bits & ((1 << shift) - 1)).astype(jnp.float32) * 2.0**-shift
        lowest = float(np.int32((first + 1) << shift).view(np.float32))
        return jnp.maximum(k, 0).astype(x.dtype), jnp.where(k > 0, part, x / lowest)


class Logarithmic(QuantizationMap):
    """Use logarithmic levels, `2^(-octaves (K - k) / (K - 1))`, and 0.

    The relative error is the same for all numbers above the smallest level.

    Args:
        octaves: how far below the largest number of a block the smallest level is, in
            powers of two; at most 125, the range of float32.
    """

    octaves: Any = 30.0

    def __post_init__(self) -> None:
        if not (isinstance(self.octaves, float | int) and 0 < self.octaves <= 125):
            raise errors.AdamxError(
                f"Logarithmic: `octaves` must be above 0 and at most 125, got "
                f"{self.octaves!r}. It is the reach of the code in powers of two, of "
                f"which float32 has no more; 30 is usual."
            )

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        size = jnp.exp2((jnp.abs(k) - top) * (self.octaves / (top - 1)))
        return jnp.sign(k) * size

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        per_octave = (top - 1) / self.octaves
        lowest = 2.0**-self.octaves
        k = top + jnp.log2(jnp.maximum(x, lowest)) * per_octave
        k = jnp.where(x < lowest, 0.0, jnp.floor(k))
        over = (x / self.level(k, top, signed) - 1) / math.expm1(
            math.log(2) / per_octave
        )
        return k, jnp.where(k > 0, over, x / lowest)


class DynamicMap(QuantizationMap):
    """Use Dettmers' dynamic tree levels: smaller decades have fewer levels.

    It is the published map with a largest level of exactly 1 on both sides (its signed
    form has no -1, so that 100 repeated encodings shrink some blocks by half).

    Reference: Dettmers et al., "8-bit optimizers via block-wise quantization", ICLR
    2022, arXiv:2110.02861.
    """

    def _levels(self, top: int, signed: bool) -> np.ndarray:
        decades = (top + 1).bit_length() - 1 - (0 if signed else 1)
        means = [np.zeros(1)]
        for i in range(decades):
            edges = np.linspace(0.1, 1, 2 ** (i if signed else i + 1) + 1)
            means.append(10.0 ** (i - decades + 1) * (edges[:-1] + edges[1:]) / 2)
        if not signed:
            return np.append(np.concatenate(means), 1.0).astype(np.float32)
        means[-1][-1] = 1.0
        return np.concatenate(means).astype(np.float32)

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        sizes = jnp.asarray(self._levels(top, signed))
        return jnp.sign(k) * sizes[jnp.abs(k).astype(jnp.int32)]

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        levels = jnp.asarray(self._levels(top, signed))
        k = jnp.clip(jnp.searchsorted(levels, x, side="right") - 1, 0, top - 1)
        low, high = levels[k], levels[k + 1]
        return k.astype(x.dtype), (x - low) / (high - low)
