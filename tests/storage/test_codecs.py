"""Each codec against its formulas: levels, choices, means, trips, floors, layouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamx import testing
from adamx.numerics.random_bits import Uniform, key_of
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
from tests.papers import codecs as paper

BOOKS = {
    "companded": (Companded(), paper.companded_book),
    "dynamic": (DynamicMap(), paper.dynamic_book),
    "logarithmic": (Logarithmic(), paper.logarithmic_book),
    "minifloat": (Minifloat(), paper.minifloat_book),
    "linear": (Linear(), paper.linear_book),
}
CODES = pytest.mark.parametrize("code", list(BOOKS))
BITS = pytest.mark.parametrize("bits", [8, 4])
SIGNS = pytest.mark.parametrize("signed", [True, False], ids=["signed", "positive"])
LOSSY = [
    Cast(jnp.bfloat16, "stochastic"),
    Cast(jnp.float16, "stochastic"),
    Cast(jnp.float8_e4m3fn, "stochastic"),
    Cast(jnp.float8_e5m2, "stochastic"),
    *(Blockwise(bits, code=code) for bits in (8, 4) for code, _ in BOOKS.values()),
]


def coded(code, bits, signed, **options):
    return Blockwise(bits, code=BOOKS[code][0], signed=signed, min_size=0, **options)


def normal(shape, signed, seed=0, decades=1.0):
    rng = np.random.default_rng(seed)
    size = np.exp(decades * rng.standard_normal(shape))
    return np.float32(size * (rng.choice([-1, 1], shape) if signed else 1))


def there_and_back(codec, shape):
    """The compiled trip of an array of this shape, by the number of a draw."""

    @jax.jit
    def trip(x, k):
        return codec.decode(codec.encode(x, Uniform(key_of(k))), shape)

    return trip


@CODES
@BITS
@SIGNS
def test_the_levels_are_those_of_the_formula(code, bits, signed):
    code, book = BOOKS[code]
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    got, want = code.book(top, signed), book(bits, signed)
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=0)
    assert len(got) == 2 * top + 1 if signed else top + 1
    assert np.all(np.diff(got) > 0)
    assert got[-1] == 1.0
    assert 0.0 in got
    if signed:
        assert got[0] == -1.0
        assert np.array_equal(got, -got[::-1])


def test_the_four_bit_dynamic_map_is_the_published_one():
    published = [-0.8875, -0.6625, -0.4375, -0.2125, -0.0775, -0.0325, -0.0055, 0.0]
    published += [0.0055, 0.0325, 0.0775, 0.2125, 0.4375, 0.6625, 0.8875, 1.0]
    np.testing.assert_allclose(paper.dynamic_map(True, 3, 4), published, atol=1e-12)
    ours = DynamicMap().book(7, True)
    np.testing.assert_allclose(ours[1:-1], published[1:-2], rtol=1e-6)
    eight = paper.dynamic_map(False, 7, 8)
    assert eight[0] == 0
    assert eight[1] == pytest.approx(3.25e-7)
    assert eight[-2] == pytest.approx(0.99648, abs=1e-5)


@CODES
@BITS
@SIGNS
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_a_number_becomes_one_of_its_neighbours_with_the_right_chance(
    code, bits, signed, rounding
):
    """Bit for bit the choice that the formula makes with the same random numbers."""
    codec = coded(code, bits, signed, rounding=rounding, floor=False)
    x, shape = normal((1000,), signed), (1000,)
    got = np.asarray(there_and_back(codec, shape)(x, 7))
    book = BOOKS[code][1](bits, signed)
    below, above, chance = paper.neighbours(x.astype(np.float64), book, 128)
    draw = np.asarray(Uniform(key_of(7))(shape), np.float64)
    far = chance > draw if rounding == "stochastic" else chance >= 0.5
    doubtful = np.abs(chance - (draw if rounding == "stochastic" else 0.5)) < 1e-3
    want = np.where(far, above, below)
    assert doubtful.mean() < 0.02
    np.testing.assert_allclose(got[~doubtful], want[~doubtful], rtol=1e-5, atol=0)


@pytest.mark.parametrize("codec", LOSSY, ids=repr)
@SIGNS
def test_rounding_is_right_on_average(codec, signed):
    """The mean of 2¹⁰ draws of each of 1,024 numbers, as a z-score over all of them."""
    codec = codec.bind("slot", signed)
    if isinstance(codec, Blockwise):
        codec = Blockwise(
            codec.bits, code=codec.code, signed=signed, min_size=0, floor=False
        )
    x = jnp.asarray(normal((8, 128), signed, decades=0.7))

    @jax.jit
    def sums(x):
        def one(total, k):
            back = codec.decode(codec.encode(x, Uniform(key_of(k))), x.shape)
            off = (back - x).astype(jnp.float32)
            news = (off, off * off, off > 0)
            return jax.tree.map(jnp.add, total, news), None

        start = (jnp.zeros(x.shape), jnp.zeros(x.shape), jnp.zeros(x.shape, int))
        return jax.lax.scan(one, start, jnp.arange(1024))[0]

    off, square, ups = (np.asarray(a, np.float64) for a in sums(x))
    assert abs(off.sum()) < 4 * np.sqrt(square.sum())
    often = np.abs(ups - 512) < 480  # both neighbours were seen
    z = off[often] / np.sqrt(square[often])
    assert often.mean() > 0.8
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert np.mean(z * z) < 1.2
    assert np.abs(z).max() < 5


@pytest.mark.parametrize("codec", [*LOSSY, Blockwise(rounding="dither")], ids=repr)
@SIGNS
def test_a_hundred_trips_change_nothing(codec, signed):
    codec = codec.bind("slot", signed)
    x = jnp.asarray(normal((40, 128), signed, decades=3.0))
    trip = there_and_back(codec, x.shape)

    @jax.jit
    def trips(x):
        def one(y, k):
            y = trip(y, k)
            return y, y

        return jax.lax.scan(one, x, jnp.maximum(jnp.arange(101) - 1, 0))[1]

    first, *others = np.asarray(trips(x))
    assert len(others) == 100
    for again in others:
        assert np.array_equal(again, first)


@CODES
@BITS
@SIGNS
def test_the_error_is_less_than_the_gap_it_lies_in(code, bits, signed):
    codec = coded(code, bits, signed, floor=False)
    x = normal((4000,), signed, decades=2.0)
    back = np.asarray(there_and_back(codec, x.shape)(x, 3))
    below, above, _ = paper.neighbours(
        x.astype(np.float64), BOOKS[code][1](bits, signed), 128
    )
    gap = np.abs(above - below)
    assert np.all(np.abs(back - x) <= gap * (1 + 1e-4) + 1e-6 * np.abs(x))


def test_minifloats_err_by_at_most_an_eighth():
    """Stated in README: stochastic 1/8, nearest 1/17, within the reach of the code."""
    x = np.float32(2.0 ** np.random.default_rng(0).uniform(-30, 0, 100_000))
    x[::128] = 1.0
    for rounding, bound in (("stochastic", 1 / 8), ("nearest", 1 / 17)):
        codec = Blockwise(rounding=rounding, signed=False)
        back = np.asarray(there_and_back(codec, x.shape)(x, 1))
        assert np.abs(back / x - 1).max() <= bound * (1 + 1e-5)


@CODES
@BITS
def test_a_number_that_is_not_zero_keeps_off_zero(code, bits):
    x = normal((2048,), False, decades=12.0)
    x[::7] = 0.0
    for rounding in ("nearest", "stochastic", "dither"):
        codec = coded(code, bits, False, rounding=rounding)
        back = np.asarray(there_and_back(codec, x.shape)(x, 5))
        assert np.array_equal(back == 0, x == 0)
    bare = coded(code, bits, False, rounding="nearest", floor=False)
    assert np.any((np.asarray(there_and_back(bare, x.shape)(x, 5)) == 0) & (x > 0))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_dense_keeps_off_zero_where_its_range_ends(dtype):
    codec = Cast(dtype, "stochastic", signed=False)
    x = normal((2048,), False, decades=12.0)
    x[::7] = 0.0
    if dtype == jnp.float16:
        x = np.minimum(x, 6e4)
    back = np.asarray(there_and_back(codec, x.shape)(x, 5))
    assert np.array_equal(back == 0, x == 0)


@pytest.mark.parametrize("codec", [*LOSSY, RowColumnMeans(), BlockMean()], ids=repr)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(codec, bad):
    codec = codec.bind("slot", False)
    x = normal((64, 128), False)
    x[3, 5] = bad
    back = np.asarray(there_and_back(codec, x.shape)(x, 1))
    assert not np.isfinite(back[3, 5])
    if not isinstance(codec, RowColumnMeans | BlockMean):
        assert np.isfinite(back[4]).all()


@pytest.mark.parametrize(
    "codec",
    [Cast(jnp.float8_e4m3fn), Blockwise(), Blockwise(4, rounding="dither")],
    ids=repr,
)
@SIGNS
def test_codecs_pass_the_check_for_everyone(codec, signed):
    testing.check_storage(codec, signed=signed)


@BITS
@pytest.mark.parametrize(
    ("shape", "scale"),
    [
        ((512, 10), (40, 1)),
        ((65536, 1), (512, 1)),
        ((3, 3, 64, 128), (3, 3, 64, 1)),
        ((4, 1000), (4, 8)),
        ((5000,), (40,)),
    ],
)
def test_no_shape_costs_more_than_its_share(bits, shape, scale):
    """≤ 1.15 bytes an element at 8 bits: 2.3 for two moments."""
    codec = Blockwise(bits, signed=False, min_size=0)
    kept = jax.eval_shape(
        lambda x: codec.encode(x, Uniform(key_of(0))), jax.ShapeDtypeStruct(shape, "f4")
    )
    assert kept["scale"].shape == scale
    assert kept["codes"].ndim == len(shape)
    size = sum(a.size * a.dtype.itemsize for a in kept.values()) / np.prod(shape)
    assert size <= (1.15 if bits == 8 else 0.6)


def test_tails_and_odd_lengths_pack():
    for n in (4097, 4100, 4223):
        x = normal((n,), True)
        codec = Blockwise(4, signed=True)
        back = np.asarray(there_and_back(codec, x.shape)(x, 1))
        assert back.shape == x.shape
        assert np.abs(back[-1] - x[-1]) <= np.abs(x[n // 128 * 128 :]).max()


def test_random_numbers_follow_from_the_place_and_differ_between_steps():
    one, two = (np.asarray(Uniform(key_of(k))((64, 100))) for k in (1, 2))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(one.ravel()[1:], one.ravel()[:-1])[0, 1]) < 0.05
    lower, upper = (np.asarray(Uniform(key_of(1), d)((6400,))) for d in (0, 1))
    assert abs(np.corrcoef(lower, upper)[0, 1]) < 0.05
    assert np.array_equal(one, np.asarray(Uniform(key_of(1))((64, 100))))
    counts = np.histogram(one, 16, (0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 45
    assert one.min() > 0
    assert one.max() < 1
