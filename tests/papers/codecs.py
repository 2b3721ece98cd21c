"""Codes and splits in NumPy float64, from their formulas; no adamx in here.

Books: the levels that the codes of a block stand for, as multiples of the block's
largest magnitude. Choices: the two levels around a number, and the probability of the
upper one that makes the mean right.

- dynamic map: Dettmers et al., "8-bit optimizers via block-wise quantization", ICLR
  2022 (the construction of the released code, `create_dynamic_map`), its largest
  magnitude then set to 1 on each side;
- companded: "FlashOptim", 2026: z = 2x / (1 + |x|) in K steps; the root in K steps;
- logarithmic: K levels over so many octaves, and 0;
- small floats: p bits of mantissa, the largest 1, and 0;
- masters: bits(master) = bits(weight) · 2¹⁶ + residual.
"""

import numpy as np


def dynamic_map(signed: bool, max_exponent_bits: int, total_bits: int) -> np.ndarray:
    """All levels of the released map, with its quirks."""
    data = []
    non_sign_bits = total_bits - 1
    for i in range(max_exponent_bits):
        power = i + non_sign_bits - max_exponent_bits + (0 if signed else 1)
        boundaries = np.linspace(0.1, 1, 2**power + 1)
        means = (boundaries[:-1] + boundaries[1:]) / 2
        data += list(10.0 ** (-(max_exponent_bits - 1) + i) * means)
        if signed:
            data += list(-(10.0 ** (-(max_exponent_bits - 1) + i)) * means)
    data += [0.0, 1.0]
    return np.sort(np.array(data))


def dynamic_book(bits: int, signed: bool) -> np.ndarray:
    released = dynamic_map(signed, bits - 1, bits)
    assert len(released) == 2**bits
    if not signed:
        return released
    inner = released[(released > released.min()) & (released < 0)]
    return np.concatenate([[-1.0], inner, [0.0], -inner[::-1], [1.0]])


def _tops(bits: int, signed: bool) -> int:
    return 2 ** (bits - 1) - 1 if signed else 2**bits - 1


def _both(sizes: np.ndarray, signed: bool) -> np.ndarray:
    return np.concatenate([-sizes[:0:-1], sizes]) if signed else sizes


def companded_book(bits: int, signed: bool) -> np.ndarray:
    top = _tops(bits, signed)
    z = np.arange(top + 1) / top
    return _both(z / (2 - z) if signed else z**2, signed)


def logarithmic_book(bits: int, signed: bool, octaves: float = 30.0) -> np.ndarray:
    top = _tops(bits, signed)
    sizes = 2.0 ** np.linspace(-octaves, 0, top)
    return _both(np.concatenate([[0.0], sizes]), signed)


def minifloat_book(bits: int, signed: bool, mantissa: int = 3) -> np.ndarray:
    top, sizes, exponent = _tops(bits, signed), [1.0], -1
    while len(sizes) < top:
        steps = np.arange(2**mantissa)[::-1] / 2**mantissa
        sizes += list(2.0**exponent * (1 + steps))
        exponent -= 1
    return _both(np.array([0.0, *sizes[:top][::-1]]), signed)


def linear_book(bits: int, signed: bool) -> np.ndarray:
    top = _tops(bits, signed)
    return _both(np.arange(top + 1) / top, signed)


def blocks(x: np.ndarray, block: int) -> list[tuple[slice, ...]]:
    """The places of the blocks of a row."""
    return [slice(i, min(i + block, len(x))) for i in range(0, len(x), block)]


def neighbours(x: np.ndarray, book: np.ndarray, block: int) -> tuple:
    """(below, above, chance of the one farther from 0) of each number of a row."""
    below, above, chance = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for place in blocks(x, block):
        scale = np.abs(x[place]).max()
        if scale == 0:
            continue
        share = np.abs(x[place]) / scale
        sizes = book[book >= 0]
        k = np.clip(np.searchsorted(sizes, share, side="right") - 1, 0, len(sizes) - 2)
        low, high = sizes[k], sizes[k + 1]
        sign = np.sign(x[place])
        below[place], above[place] = sign * low * scale, sign * high * scale
        chance[place] = (share - low) / (high - low)
    return below, above, chance


def split(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pattern of 32 bits as (upper half, residual), the nearest half."""
    wide = bits.astype(np.int64)
    upper = (wide + 0x8000) >> 16
    return upper, wide - (upper << 16)


def adam_moments(gradients: np.ndarray, b1: float, b2: float) -> tuple:
    """m and v after each row of gradients, without correction (Algorithm 1)."""
    m = v = np.zeros(gradients.shape[1:])
    for g in gradients:
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    return m, v
