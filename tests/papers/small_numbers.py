"""Numbers in few bits, in NumPy float64 from the published formats; no adamx in here.

Three things are asked of every format: the numbers that it holds, the two of them
around a given number, and with which probability rounding takes the upper one so that
the mean is the number itself. The formats:

- levels of a block, as multiples of its largest magnitude: dynamic tree (Dettmers et
  al., "8-bit optimizers via block-wise quantization", ICLR 2022, section 2.1, each
  fraction the middle of its interval), softsign and root ("FlashOptim", 2026,
  arXiv:2602.23349), logarithmic, linear, and floating point of p bits up to 1;
- floats by precision, least exponent and largest: bfloat16, IEEE 754 binary16, and
  OCP 8-bit floats E4M3 and E5M2 (Micikevicius et al., "FP8 formats for deep learning",
  2022, arXiv:2209.05433, table 1);
- a float32 in two integers: the nearest bfloat16 and what is missing in 16 or 8 bits;
- means of rows and columns (Adafactor, Algorithm 2) and of blocks (Adam-mini).
"""

import dataclasses
from fractions import Fraction

import numpy as np


def tops(bits: int, signed: bool) -> int:
    """The number of levels above zero: one bit is the sign's, one pattern zero's."""
    return 2 ** (bits - signed) - 1


def with_signs(positive: list, signed: bool) -> np.ndarray:
    """Levels above zero, zero, and their negatives where there is a sign; ascending."""
    positive = [float(x) for x in positive]
    negative = [-x for x in reversed(positive)] if signed else []
    return np.array([*negative, 0.0, *positive])


def dynamic(bits: int, signed: bool) -> np.ndarray:
    """E zeros, a one, and a fraction: 10^-E times the middle of an interval of [.1, 1].

    Of the non-sign bits E + 1 are taken and the others number the intervals, for E up
    to `bits - 2`; the two patterns that an unsigned number has left are 0 and 1. A
    signed one has only 0 left, and its largest level is made 1.
    """
    positive = []
    for zeros in range(bits - 1):
        intervals = 2 ** (bits - signed - 1 - zeros)
        width = Fraction(9, 10) / intervals
        middles = [Fraction(1, 10) + width * (2 * i + 1) / 2 for i in range(intervals)]
        positive += [middle / 10**zeros for middle in middles]
    positive.sort()
    positive = [*positive[:-1], 1] if signed else [*positive, 1]
    assert len(positive) == tops(bits, signed)
    return with_signs(positive, signed)


def companded(bits: int, signed: bool) -> np.ndarray:
    """n with 2n / (1 + n) = k / K, that is z / (2 - z); unsigned n with root k / K."""
    top = tops(bits, signed)
    z = [Fraction(k, top) for k in range(1, top + 1)]
    return with_signs([x / (2 - x) if signed else x * x for x in z], signed)


def logarithmic(bits: int, signed: bool, octaves: float = 30.0) -> np.ndarray:
    """K levels, evenly spaced in the logarithm from 2^-octaves to 1."""
    top = tops(bits, signed)
    exponents = np.linspace(-octaves, 0, top)
    return with_signs(list(2.0**exponents), signed)


def linear(bits: int, signed: bool) -> np.ndarray:
    top = tops(bits, signed)
    return with_signs([Fraction(k, top) for k in range(1, top + 1)], signed)


def minifloat(bits: int, signed: bool, mantissa: int = 3) -> np.ndarray:
    """1 and the floats below it: 2^-e (1 + i / 2^p), as many as there are codes."""
    top, each = tops(bits, signed), 2**mantissa
    below = [
        Fraction(each + i, each * 2**e)
        for e in range(1, top // each + 2)
        for i in reversed(range(each))
    ]
    return with_signs(sorted([Fraction(1), *below[: top - 1]]), signed)


def around(x: np.ndarray, book: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest level at most x and the smallest at least x, both x on a level."""
    x = np.asarray(x, np.float64)
    last = len(book) - 1
    below = book[np.clip(np.searchsorted(book, x, side="right") - 1, 0, last)]
    above = book[np.clip(np.searchsorted(book, x, side="left"), 0, last)]
    return below, above


def keep_off_zero(below: np.ndarray, above: np.ndarray, x: np.ndarray) -> tuple:
    """The neighbours of a number that is not zero and may not become zero."""
    return np.where((below == 0) & (x > 0), above, below), above


def chance_of_upper(x: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """p with p above + (1 - p) below = x; 0 where both are one number."""
    gap = np.where(above > below, above - below, 1.0)
    return np.clip((x - below) / gap, 0.0, 1.0) * (above > below)


def nearest(x: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """The nearer of the two; the upper one of a tie."""
    return np.where(above - x <= x - below, above, below)


def largest_of_blocks(x: np.ndarray, block: int) -> np.ndarray:
    """max |x| of each block along the last axis, the last block as long as it is."""
    starts = range(0, x.shape[-1], block)
    return np.stack([np.abs(x[..., i : i + block]).max(-1) for i in starts], -1)


def of_each(scale: np.ndarray, block: int, length: int) -> np.ndarray:
    """The number of an element's block, for each element."""
    return np.repeat(scale, block, axis=-1)[..., :length]


@dataclasses.dataclass(frozen=True)
class Float:
    """Binary: bits of fraction, exponent of the least normal number, largest number."""

    fraction: int
    least_exponent: int
    largest: float

    def step(self, x: np.ndarray) -> np.ndarray:
        """The distance of neighbours in the octave of x."""
        exponent = np.frexp(np.where(x == 0, 1.0, x))[1] - 1
        exponent = np.where(x == 0, self.least_exponent, exponent)
        return 2.0 ** (np.maximum(exponent, self.least_exponent) - self.fraction)

    def around(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two neighbours of x in value; beyond the largest, infinity."""
        x = np.asarray(x, np.float64)
        step = self.step(x)
        below, above = np.floor(x / step) * step, np.ceil(x / step) * step
        above = np.where(above > self.largest, np.inf, above)
        return np.where(below < -self.largest, -np.inf, below), above

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The nearest, of a tie the one with an even fraction (IEEE 754, 4.3.1)."""
        x = np.asarray(x, np.float64)
        step = self.step(x)
        y = np.rint(x / step) * step
        return np.where(np.abs(y) > self.largest, np.copysign(np.inf, x), y)

    def numbers(self) -> np.ndarray:
        """All finite numbers at least 0, ascending."""
        each, e = 2**self.fraction, self.least_exponent
        subnormal = [i * 2.0 ** (e - self.fraction) for i in range(each)]
        normal = []
        while 2.0**e <= self.largest:
            normal += [(each + i) * 2.0 ** (e - self.fraction) for i in range(each)]
            e += 1
        return np.array([x for x in subnormal + normal if x <= self.largest])


BFLOAT16 = Float(7, -126, (2 - 2.0**-7) * 2.0**127)
FLOAT16 = Float(10, -14, 65504.0)
E4M3 = Float(3, -6, 448.0)
E5M2 = Float(2, -14, 57344.0)


def bits_of(x: np.ndarray) -> np.ndarray:
    """The pattern of a float32, as an integer: its sign apart, it grows with |x|."""
    return np.asarray(x, np.float32).view(np.uint32).astype(np.int64)


def number_of(bits: np.ndarray) -> np.ndarray:
    return np.asarray(bits).astype(np.uint32).view(np.float32)


def split(master: np.ndarray, bits: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A float32 as the pattern of a bfloat16 and a residual of 16 bits, or 8.

    The pattern is the nearer one, of a tie the greater, and the residual what remains:
    -2¹⁵ ... 2¹⁵ - 1, of which the upper 8 bits are all where the lower ones are 0.
    """
    pattern = bits_of(master)
    upper = (pattern + 2**15) // 2**16
    residual = pattern - upper * 2**16
    assert bits == 16 or not (residual % 2**8).any()
    return upper, residual // 2 ** (16 - bits)


def join(upper: np.ndarray, residual: np.ndarray, bits: int = 16) -> np.ndarray:
    return number_of(upper * 2**16 + residual.astype(np.int64) * 2 ** (16 - bits))


def rows_times_columns(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R / n, C / m and R C / 1ᵀR, with sums R over the rows and C over the columns."""
    x = np.asarray(x, np.float64)
    rows, columns = x.sum(-1, keepdims=True), x.sum(-2, keepdims=True)
    total = rows.sum(-2, keepdims=True)
    whole = rows * columns / np.where(total == 0, 1.0, total)
    return rows / x.shape[-1], columns / x.shape[-2], whole


def means_of_blocks(x: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
    """The mean over each block, with `counts` blocks along the axes, block by block."""
    x = np.asarray(x, np.float64)
    sizes = [n // count for n, count in zip(x.shape, counts, strict=True)]
    means = np.empty(counts)
    for place in np.ndindex(*counts):
        sides = zip(place, sizes, strict=True)
        means[place] = x[tuple(slice(i * n, (i + 1) * n) for i, n in sides)].mean()
    return means
