"""The codecs beside tables, neighbours and chances that are written from the formats.

Chances are counted, not estimated: a block is encoded once with each of `DRAWS` evenly
spaced numbers in the place of a random one, so that the share rounded up is p within
half a spacing. Random bits themselves are judged through `adamx.store`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamx.storage import (
    BlockMean,
    Blockwise,
    Cast,
    Companded,
    DynamicMap,
    Linear,
    Logarithmic,
    Minifloat,
    RowColumnMeans,
)
from tests.papers import small_numbers as numbers

BOOKS = {
    "floating": (Minifloat(), numbers.minifloat),
    "softsign and root": (Companded(), numbers.companded),
    "dynamic tree": (DynamicMap(), numbers.dynamic),
    "logarithmic": (Logarithmic(), numbers.logarithmic),
    "linear": (Linear(), numbers.linear),
}
SMALL_FLOATS = {
    "bfloat16": (jnp.bfloat16, numbers.BFLOAT16),
    "float16": (jnp.float16, numbers.FLOAT16),
    "e4m3": (jnp.float8_e4m3fn, numbers.E4M3),
    "e5m2": (jnp.float8_e5m2, numbers.E5M2),
}
WIDTHS = [(8, True), (8, False), (4, True), (4, False)]
DRAWS = LENGTH = 256
EVENLY = (np.arange(DRAWS)[:, None] + 0.5) / DRAWS
TINY = float(np.finfo(np.float32).tiny)
HUGE = float(np.finfo(np.float32).max)
EPS = float(np.finfo(np.float32).eps)


@functools.cache
def compiled(codec):
    """x and draws to what is kept and what that stands for; one program a shape."""

    def there_and_back(x, draws):
        kept = codec.encode(x, lambda shape: jnp.broadcast_to(draws, shape))
        return kept, codec.decode(kept, x.shape)

    return jax.jit(there_and_back)


def there_and_back(codec, x, draws=0.5):
    """What is kept of x, and what it stands for, in float64."""
    kept, back = compiled(codec)(jnp.float32(x), jnp.float32(draws))
    return jax.tree.map(np.asarray, kept), np.asarray(back).astype(np.float64)


def shares_of_upper(codec, row, below, above, within):
    """How often `row` becomes `above`; every time it is that or `below`."""
    _, back = there_and_back(codec, np.tile(row, (DRAWS, 1)), EVENLY)
    is_below = np.isclose(back, below, rtol=within, atol=0)
    is_above = np.isclose(back, above, rtol=within, atol=0)
    assert (is_below | is_above).all()
    return (is_above & ~is_below).mean(0)


def of_many_sizes(rng, shape, signed):
    """Numbers up to 1, the last 1: half of them even, half of seven decades, some 0."""
    even, decades = rng.random(shape), 10 ** -rng.uniform(0, 7, shape)
    x = np.where(rng.random(shape) < 0.5, even, decades)
    x[..., :3], x[..., -1] = 0, 1
    return x * rng.choice([-1, 1], shape) if signed else x


def blockwise(name, bits, signed, **options):
    """A codec of blocks as long as a row, its levels, and how exactly float32 has them.

    An exponent of up to 30, twice rounded, is right within 30 eps.
    """
    code, formula = BOOKS[name]
    options = {"block": LENGTH, "code": code, "min_size": 1, **options}
    codec = Blockwise(bits, signed=signed, **options)
    return codec, formula(bits, signed), (32 if name == "logarithmic" else 2) * EPS


# --- levels --------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (4, False)])
@pytest.mark.parametrize("name", BOOKS)
def test_all_levels_are_those_of_the_formula(name, bits, signed):
    code, formula = BOOKS[name]
    expected = formula(bits, signed)
    got = code.book(numbers.tops(bits, signed), signed)
    assert len(got) == len(expected) == 2**bits - signed
    # An exponent of up to 30 in float32, twice rounded, is right within 30 eps.
    within = 30 * EPS if name == "logarithmic" else EPS
    np.testing.assert_allclose(got, expected, rtol=within, atol=0)
    assert got[-1] == 1
    assert got[0] == (-1 if signed else 0)
    assert np.count_nonzero(got == 0) == 1


def test_the_published_dynamic_maps():
    """Two levels of each decade, as the released maps have them."""
    signed, unsigned = numbers.dynamic(8, True), numbers.dynamic(8, False)
    np.testing.assert_allclose(signed[128], 5.5e-7)
    np.testing.assert_allclose(-signed[1], 1 - 0.9 / 64 * 1.5)
    np.testing.assert_allclose(unsigned[[1, 254]], [3.25e-7, 0.996484375])
    four = [0.0055, 0.0325, 0.0775, 0.2125, 0.4375, 0.6625, 1.0]
    np.testing.assert_allclose(numbers.dynamic(4, True)[8:], four)


@pytest.mark.parametrize("mantissa", range(7))
@pytest.mark.parametrize(("bits", "signed"), WIDTHS)
def test_floating_levels_of_any_precision(mantissa, bits, signed):
    """Those whose lowest float32 holds; of the two others there is no code."""
    top = numbers.tops(bits, signed)
    expected = numbers.minifloat(bits, signed, mantissa)
    if expected[expected > 0].min() < TINY:
        assert (bits, signed, mantissa) in [(8, False, 0), (8, False, 1)]
        with pytest.raises(ValueError, match="`mantissa` must leave 255 levels"):
            Blockwise(bits, code=Minifloat(mantissa), signed=signed)
        return
    np.testing.assert_array_equal(Minifloat(mantissa).book(top, signed), expected)


# --- blocks --------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "signed"), WIDTHS)
@pytest.mark.parametrize("name", BOOKS)
def test_every_level_is_kept_as_it_is(name, bits, signed):
    """Whatever the draw: a mean that does not move is not moved by being kept."""
    codec, book, within = blockwise(name, bits, signed)
    levels = np.pad(book, (LENGTH - len(book), 0))
    x = np.tile(np.float32(0.37) * levels, (DRAWS, 1))
    _, once = there_and_back(codec, x, EVENLY)
    np.testing.assert_allclose(once, x, rtol=within, atol=0)
    for draw in (2.0**-17, 1 - 2.0**-17):
        _, twice = there_and_back(codec, once, np.full_like(EVENLY, draw))
        np.testing.assert_array_equal(twice, once)


@pytest.mark.parametrize(("bits", "signed"), WIDTHS)
@pytest.mark.parametrize("name", BOOKS)
def test_the_neighbours_and_how_often_each(name, bits, signed):
    check_chances(*blockwise(name, bits, signed), floor=not signed)


@pytest.mark.parametrize(("bits", "signed"), WIDTHS)
def test_one_number_for_a_block_has_the_same_chances(bits, signed):
    of = blockwise("floating", bits, signed, rounding="dither")
    check_chances(*of, floor=not signed)


@pytest.mark.parametrize("bits", [8, 4])
def test_without_the_floor_small_numbers_become_zero(bits):
    check_chances(*blockwise("linear", bits, False, floor=False), floor=False)


def check_chances(codec, book, within, floor):
    scale = np.float32(0.37)
    row = of_many_sizes(np.random.default_rng(0), LENGTH, book[0] < 0)
    row = np.float32(scale * row)
    ratio = row.astype(np.float64) / float(scale)
    below, above = numbers.around(ratio, book)
    if floor:
        below, above = numbers.keep_off_zero(below, above, ratio)
    share = shares_of_upper(codec, row, scale * below, scale * above, within)
    chance = numbers.chance_of_upper(ratio, below, above)
    # Half a spacing of the draws, and how exactly float32 finds the place in a gap.
    np.testing.assert_allclose(share, chance, rtol=0, atol=0.5 / DRAWS + 1e-4)


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (4, False)])
@pytest.mark.parametrize("name", BOOKS)
def test_the_nearest_in_value(name, bits, signed):
    codec, book, within = blockwise(name, bits, signed, rounding="nearest")
    x = of_many_sizes(np.random.default_rng(bits), (DRAWS, LENGTH), signed)
    x = np.float32(x)
    below, above = numbers.around(x, book)
    if not signed:
        below, above = numbers.keep_off_zero(below, above, x)
    _, back = there_and_back(codec, x)
    is_below = np.isclose(back, below, rtol=within, atol=0)
    assert (is_below | np.isclose(back, above, rtol=within, atol=0)).all()
    off = np.abs(numbers.nearest(x, below, above) - x)
    # Of two that are as near within 1e-4 of the gap, float32 may take either.
    slack = 1e-4 * (above - below) + within * np.maximum(np.abs(below), np.abs(above))
    assert (np.abs(back - x) <= off + slack).all()


@pytest.mark.parametrize("signed", [True, False])
def test_a_tie_goes_to_a_neighbour(signed):
    """All middles of the floating levels, which float32 holds exactly."""
    codec, book, _ = blockwise("floating", 8, signed, rounding="nearest")
    middles = (book[1:] + book[:-1]) / 2
    row = np.pad(np.r_[middles, 1.0], (LENGTH - len(book), 0))
    _, back = there_and_back(codec, np.tile(row, (DRAWS, 1)))
    off = np.abs(back[:, -len(book) : -1] - middles)
    off = off[:, 1:] if not signed else off  # Under the floor there is no tie.
    np.testing.assert_array_equal(off[0], (np.diff(book) / 2)[-off.shape[1] :])


@pytest.mark.parametrize(
    ("shape", "merged", "bits"),
    [
        ((7,), 1, 4),
        ((3, 300), 1, 8),
        ((3, 301), 1, 4),
        ((40, 3), 2, 8),
        ((64, 127), 2, 8),
        ((3, 5, 10), 3, 4),
        ((2, 3, 64, 2), 2, 8),
    ],
)
def test_scales_are_the_largest_of_blocks(shape, merged, bits):
    """Along the last axis, or as many of the last as make a block, and a short tail."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    *lead, last = (*shape[: len(shape) - merged], int(np.prod(shape[-merged:])))
    flat = x.reshape(*lead, last)
    expected = numbers.largest_of_blocks(flat, 128)
    codec = Blockwise(bits, rounding="nearest", signed=True, min_size=1)
    kept, back = there_and_back(codec, x)
    assert kept["scale"].ndim == len(shape)
    np.testing.assert_array_equal(kept["scale"].reshape(expected.shape), expected)
    assert kept["codes"].nbytes == int(np.prod(lead)) * -(-last * bits // 8)
    scale = numbers.of_each(expected, 128, last)
    book = {8: numbers.minifloat, 4: numbers.companded}[bits](bits, True)
    nearest = numbers.nearest(flat / scale, *numbers.around(flat / scale, book))
    close = {"rtol": 4 * EPS, "atol": 0}
    np.testing.assert_allclose(back.reshape(flat.shape), nearest * scale, **close)


@pytest.mark.parametrize("largest", [HUGE, 2.0**127, 1.0, 2.0**-100, 2 * TINY])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    "codec",
    [
        Blockwise(min_size=1),
        Blockwise(4, min_size=1),
        Cast(jnp.float8_e4m3fn),
        Cast(jnp.float8_e5m2, "stochastic"),
    ],
    ids=repr,
)
def test_blocks_of_any_size(codec, signed, largest):
    """The largest comes back; nothing in a slot without sign becomes zero."""
    x = np.float32(largest * 4.0 ** -np.arange(128.0))[None]
    x = np.where(x < 2 * TINY, np.float32(0), x)
    codec = codec.bind("slot", signed)
    for number in (x, -x) if signed else (x,):
        _, back = there_and_back(codec, number, 0.99)
        np.testing.assert_allclose(back[0, 0], number[0, 0], rtol=2 * EPS)
        assert (back[x == 0] == 0).all()
        assert signed or (back[x > 0] > 0).all()


@pytest.mark.parametrize("dtype", [jnp.float8_e4m3fn, jnp.float8_e5m2, None])
@pytest.mark.parametrize("size", [TINY / 2, 2.0**-149])
def test_a_block_of_subnormals_is_at_most_lost(dtype, size):
    """XLA on CPU takes them for zeros: so do we, or keep them; never a NaN."""
    codec = Blockwise(signed=False, min_size=1)
    codec = codec if dtype is None else Cast(dtype, signed=False)
    _, back = there_and_back(codec, np.full((1, 128), size))
    assert ((back == 0) | (back == np.float32(size))).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("bits", "signed"), WIDTHS)
def test_a_block_that_is_not_finite_is_so_all_over(wrong, bits, signed):
    """With a NaN in it: an infinite second moment alone would only stop the update."""
    x = np.random.default_rng(0).normal(size=(2, 256)).astype(np.float32)
    x = x if signed else np.abs(x)
    x[1, 200] = wrong
    codec = Blockwise(bits, signed=signed, min_size=1)
    _, back = there_and_back(codec, x)
    expected = np.ones((2, 256), bool)
    expected[1, 128:] = False
    np.testing.assert_array_equal(np.isfinite(back), expected)
    assert np.isnan(back[1]).any()


# --- other dtypes --------------------------------------------------------------------


def patterns(rng, n, largest):
    """Numbers of random float32 patterns between `tiny` and `largest`, and its ends."""
    x = numbers.number_of(rng.integers(0, 2**32, n))
    x = x[(np.abs(x) >= TINY) & (np.abs(x) <= largest)]
    return np.r_[x, 0.0, 1.0, largest, -largest].astype(np.float32)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_dense_to_nearest_and_even(name):
    dtype, float_ = SMALL_FLOATS[name]
    x = patterns(np.random.default_rng(0), 50_000, HUGE)
    exact = float_.numbers()[:: 7 if name == "float16" else 17]
    ties = exact[:-1] + float_.step(exact[:-1]) / 2
    x = np.r_[x, np.float32(exact), np.float32(ties), -np.float32(ties)]
    x = x[(np.abs(x) >= TINY) | (x == 0)]
    _, back = there_and_back(Cast(dtype), x)
    np.testing.assert_array_equal(back, float_.nearest(x))


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize("signed", [True, False])
def test_dense_stochastic(name, signed):
    dtype, float_ = SMALL_FLOATS[name]
    row = patterns(np.random.default_rng(0), 4_000, float_.largest)
    row = np.r_[row, np.float32(2.0 ** np.linspace(-30, 15, 200))]
    row = row if signed else np.abs(row)
    below, above = float_.around(row)
    if not signed:
        below, above = numbers.keep_off_zero(below, above, row)
    codec = Cast(dtype, "stochastic", signed=signed)
    share = shares_of_upper(codec, row, below, above, 0)
    chance = numbers.chance_of_upper(row.astype(np.float64), below, above)
    np.testing.assert_allclose(share, chance, rtol=0, atol=0.5 / DRAWS + 1e-6)


@pytest.mark.parametrize(("name", "power"), [("e4m3", 2**8), ("e5m2", 2**15)])
@pytest.mark.parametrize("signed", [True, False])
def test_dense_eight_bit_floats(name, power, signed):
    """The largest of 128 at the highest power of two, and the format's neighbours."""
    dtype, float_ = SMALL_FLOATS[name]
    assert power <= float_.largest < 2 * power
    rng = np.random.default_rng(0)
    ratio = of_many_sizes(rng, 127, signed) * 2.0 ** rng.integers(-6, 1, 127)
    row = np.float32(0.37 * np.r_[1.0, ratio])
    scale = np.float64(row[0]) / power
    codes = row / scale
    below, above = float_.around(codes)
    nearest = float_.nearest(codes)
    if not signed:
        least = float_.numbers()[1]
        below, above = numbers.keep_off_zero(below, above, codes)
        nearest = np.where((nearest == 0) & (codes > 0), least, nearest)
    codec = Cast(dtype, "stochastic", signed=signed)
    share = shares_of_upper(codec, row, scale * below, scale * above, EPS)
    chance = numbers.chance_of_upper(codes, below, above)
    np.testing.assert_allclose(share, chance, rtol=0, atol=0.5 / DRAWS + 1e-5)
    kept, back = there_and_back(Cast(dtype, signed=signed), row)
    np.testing.assert_array_equal(kept["scale"], np.float32([scale]))
    np.testing.assert_array_equal(kept["codes"].astype(np.float64), nearest)
    np.testing.assert_allclose(back, scale * nearest, rtol=EPS, atol=0)


@pytest.mark.parametrize("name", SMALL_FLOATS)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_dense_shows_what_is_not_finite(name, rounding):
    x = np.float32([np.nan, np.inf, -np.inf])[:, None]
    _, back = there_and_back(Cast(SMALL_FLOATS[name][0], rounding), x)
    assert not np.isfinite(back).any()
    if "float16" in name:
        np.testing.assert_array_equal(back, x)


# --- means ---------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("shape", [(6, 10), (3, 7, 11), (2, 3, 5, 1)])
def test_row_and_column_means(shape, scale):
    x = np.random.default_rng(0).normal(size=shape) ** 2 * scale
    x[..., 2, :] = 0
    x = x.astype(np.float32)
    row, column, whole = numbers.rows_times_columns(x)
    kept, back = there_and_back(RowColumnMeans(), x)
    close = {"rtol": 1e-6, "atol": 0}
    np.testing.assert_allclose(kept["row"], row, **close)
    np.testing.assert_allclose(kept["col"], column, **close)
    np.testing.assert_allclose(back, whole, **close)
    _, zeros = there_and_back(RowColumnMeans(), 0 * x)
    np.testing.assert_array_equal(zeros, 0 * x)


@pytest.mark.parametrize(
    ("shape", "counts"),
    [((6, 10), (1, 10)), ((3, 7, 11), (1, 1, 11)), ((5,), (1,)), ((6, 10), (3, 2))],
)
def test_block_means(shape, counts):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) ** 2
    codec = BlockMean(lambda _: counts) if counts == (3, 2) else BlockMean()
    expected = numbers.means_of_blocks(x, counts)
    kept, back = there_and_back(codec, x)
    assert kept[""].shape == counts
    np.testing.assert_allclose(kept[""], expected, rtol=1e-6)
    sizes = [n // count for n, count in zip(shape, counts, strict=True)]
    np.testing.assert_array_equal(back, np.kron(kept[""], np.ones(sizes)))
