"""Codes: which numbers of [0, 1] an integer can stand for.

A code has K + 1 levels, 0 = level(0) < level(1) < … < level(K) = 1, and for slots with
a sign level(-k) = -level(k). With a sign K is 127 at 8 bits and 7 at 4, without 255 and
15. Both ends are levels, so that the largest of a block is kept as it is.
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
    """The base of all codes: `level` and `between`."""

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        """The number that level k stands for; k may be negative where signed."""
        raise NotImplementedError

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        """The level k at or below x in [0, 1], and how far x is on the way to k + 1."""
        raise NotImplementedError

    def check(self, top: int) -> None:
        """Raise where float32 does not hold `top` levels above zero."""

    def book(self, top: int, signed: bool) -> np.ndarray:
        """All levels, ascending; the negative ones too where there is a sign."""
        lowest = -top if signed else 0
        return np.asarray(self.level(jnp.arange(lowest, top + 1.0), top, signed))


def _ending_at_one(level: Array, k: Array, top: int) -> Array:
    """Exactly ±1 at the ends: compiled, K / K is K times a rounded 1 / K."""
    return jnp.where(jnp.abs(k) == top, jnp.sign(k), level)


class Linear(QuantizationMap):
    """`k / K`: a control. Small numbers beside large ones are lost."""

    def level(self, k: Float[Array, "..."], top: int, signed: bool) -> Array:
        return _ending_at_one(k / top, k, top)

    def between(self, x: Float[Array, "..."], top: int, signed: bool) -> Any:
        r = x * top
        k = jnp.floor(r)
        return k, r - k


class Companded(QuantizationMap):
    """Finer near zero: signed `k / (2K - k)`, non-negative `(k / K)²`.

    The signed one undoes the softsign z = 2x / (1 + |x|); the other is linear in the
    root of the second moment, which is what divides an update.

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
    """Small floating-point numbers whose largest is 1: octaves, linear inside.

    With p bits of mantissa, `level(K - j)` is the j-th float32 of p bits below 1: at 8
    bits and p = 3, 8 levels an octave over 31 octaves, 15 where there is a sign. Two
    integer operations either way, and about the same relative error everywhere.

    Args:
        mantissa: p, the bits of the mantissa, 0 to 6; at 8 bits without a sign 2 to 6,
            since with fewer the lowest level would lie below float32.
    """

    mantissa: Any = 3

    def __post_init__(self) -> None:
        if self.mantissa not in range(7):
            raise errors.AdamxError(
                f"Minifloat: `mantissa` must be a number of bits from 0 to 6, got "
                f"{self.mantissa!r}. 3 is usual; each more halves the reach in octaves."
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
        """The bits of level 0, were it no zero, without the part below the mantissa."""
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
    """`2^(-octaves (K - k) / (K - 1))`, and 0: the same relative error everywhere.

    Args:
        octaves: how far below the largest of a block the smallest level lies, in powers
            of two; at most 125, where float32 ends.
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
    """Decades of falling resolution, linear inside: Dettmers' dynamic tree.

    The published map with its largest level made exactly 1 on both sides (its signed
    form has no -1, so that encoding again shrinks some blocks by half in 100 trips).

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
