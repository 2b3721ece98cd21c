"""Where bfloat16 parameters land, and random bits, beside integers and float64.

A master is wanted by its pattern: from a parameter θ the update w - θ is exact in
float32 where w is near, and the master must then be w bit for bit.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.storage import Blockwise, Cast, Minifloat
from adamx.testing import kept_slot
from tests.papers import small_numbers as numbers

TINY = float(np.finfo(np.float32).tiny)


def as_bfloat16(upper):
    """The parameter of a pattern of 16 bits."""
    return jnp.asarray(numbers.number_of(upper * 2**16)).astype(jnp.bfloat16)


def pattern_of(params):
    return np.asarray(params.astype(jnp.float32)).view(np.uint32).astype(np.int64) >> 16


def landed(tx, params, *updates):
    """The parameters, the state and the masters after these updates."""
    state = tx.init(params)
    step = jax.jit(tx.update)
    for update in updates:
        update, state = step(jnp.float32(update), state, params)
        params = optax.apply_updates(params, update)
        yield params, np.asarray(adamx.master_params(state, params))


def normal(pattern):
    """Patterns of 16 bits of normal numbers, off both ends by an octave."""
    exponent = pattern >> 7 & 255
    return pattern[(exponent > 1) & (exponent < 254)]


@pytest.mark.parametrize("low", [-(2**15), 1 - 2**15, -1, 0, 1, 12345, 2**15 - 1])
def test_every_parameter_lands_with_its_residual(low):
    upper = normal(np.arange(2**16))
    wanted = numbers.number_of(upper * 2**16 + low)
    update = wanted.astype(np.float64) - numbers.number_of(upper * 2**16)
    # XLA on CPU takes a subnormal update for zero.
    moves = np.abs(update) >= TINY
    assert moves.sum() > 58_000 or low == 0
    wanted = np.where(moves, wanted, numbers.number_of(upper * 2**16))
    update = np.where(moves, update, 0)
    ((params, master),) = landed(adamx.split_master(16), as_bfloat16(upper), update)
    np.testing.assert_array_equal(numbers.bits_of(master), numbers.bits_of(wanted))
    np.testing.assert_array_equal(pattern_of(params), numbers.split(wanted)[0])


def test_the_split_is_exact_for_any_pattern():
    """Of the reference itself, and what FlashOptim's bits of error correction are."""
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000)
    bits = bits[(bits >> 23 & 255) < 254]
    master = numbers.number_of(bits)
    upper, residual = numbers.split(master)
    assert np.abs(residual + 0.5).max() <= 2**15 - 0.5
    np.testing.assert_array_equal(numbers.bits_of(numbers.join(upper, residual)), bits)
    rounded = numbers.number_of(upper * 2**16).astype(np.float64)
    off = np.abs(rounded - master) / numbers.BFLOAT16.step(master.astype(np.float64))
    assert off.max() <= 0.5


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3])
def test_a_master_walks_as_float32_does(size):
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=4000) * 10 ** rng.uniform(-2, 2, 4000))
    params = params.astype(jnp.bfloat16)
    updates = np.float32(rng.normal(size=(12, 4000)) * size)
    expected = np.asarray(params.astype(jnp.float32))
    walk = landed(adamx.split_master(16), params, *updates)
    for update, (params, master) in zip(updates, walk, strict=True):
        before, expected = expected, expected + update
        near = np.abs(expected) * 2**15 >= np.abs(before)
        assert near.mean() > 0.999
        expected = np.where(near, expected, master)
        np.testing.assert_array_equal(master, expected)
        np.testing.assert_array_equal(pattern_of(params), numbers.split(master)[0])


@pytest.mark.parametrize("odd", [1, 3, 5, 7, 101])
def test_out_of_reach_the_master_is_as_near_as_the_parameter_allows(odd):
    """θ is 1, the master a little less, and w = -odd 2⁻²⁴: 1 + odd 2⁻²⁴ is no float32.

    The residual is what remains of w, or the end of its range that lies nearer.
    """
    wanted = np.float32(-odd * 2.0**-24)
    down = [-(2.0**-10), -(1 - 2.0**-10) + float(wanted)]
    assert [float(np.float32(x)) for x in down] == down
    updates = [np.full(3, x) for x in down]
    params = jnp.ones(3, jnp.bfloat16)
    (_, first), (params, master) = landed(adamx.split_master(16), params, *updates)
    np.testing.assert_array_equal(first, 1 + down[0])
    off = np.abs(np.asarray(params.astype(jnp.float32)) - float(wanted))
    assert (off <= 2.0**-24).all()
    upper = pattern_of(params)
    residual = numbers.bits_of(wanted) - upper * 2**16
    nearest = numbers.join(upper, np.clip(residual, -(2**15), 2**15 - 1))
    expected = np.where(upper == 0, np.float32(0), nearest)
    np.testing.assert_array_equal(master, expected)


def is_binomial(hits, chances):
    """Whether as many of the tries hit as independent ones would, within 4.5 sigma."""
    spread = np.sqrt((chances * (1 - chances)).sum())
    return abs(hits.sum() - chances.sum()) <= 4.5 * spread


def test_a_master_of_24_bits_is_right_on_average():
    """A step lands on a multiple of 2⁸ in the pattern, either neighbour of θ + u."""
    n = 60_000
    rng = np.random.default_rng(0)
    upper = normal(rng.integers(0, 2**16, n))
    low = rng.integers(-(2**15), 2**15, len(upper))
    wanted = numbers.number_of(upper * 2**16 + low)
    update = wanted.astype(np.float64) - numbers.number_of(upper * 2**16)
    moves = np.abs(update) >= TINY
    upper, wanted, update = upper[moves], wanted[moves], update[moves]
    ((params, master),) = landed(adamx.split_master(8), as_bfloat16(upper), update)
    pattern = numbers.bits_of(wanted)
    below, got = pattern // 2**8 * 2**8, numbers.bits_of(master)
    is_above = got == below + 2**8
    assert (is_above | (got == below)).all()
    assert not (is_above & (pattern == below)).any()
    assert is_binomial(is_above, (pattern - below) / 2**8)
    # And in each eighth of the way, so that no wrong chances make up for each other.
    for part in range(8):
        some = (pattern - below) // 2**5 == part
        assert is_binomial(is_above[some], (pattern - below)[some] / 2**8)
    expected, residual = numbers.split(master, 8)
    np.testing.assert_array_equal(pattern_of(params), expected)
    assert residual.min() >= -(2**7)
    assert residual.max() < 2**7


@pytest.mark.parametrize(
    ("dtype", "float_"),
    [(jnp.bfloat16, numbers.BFLOAT16), (jnp.float16, numbers.FLOAT16)],
)
def test_parameters_land_on_either_neighbour(dtype, float_):
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.normal(size=60_000)).astype(dtype)
    before = np.asarray(params.astype(jnp.float32)).astype(np.float64)
    update = np.float32(rng.normal(size=before.shape) * 10 ** rng.uniform(-6, -1))
    tx = adamx.stochastic_rounding(seed=3)
    change, _ = jax.jit(tx.update)(jnp.asarray(update), tx.init(params), params)
    landed_ = np.asarray(optax.apply_updates(params, change).astype(jnp.float32))
    wanted = np.float32(before + update).astype(np.float64)
    below, above = float_.around(wanted)
    is_above = (landed_ == above) & (above != below)
    assert (is_above | (landed_ == below)).all()
    chance = numbers.chance_of_upper(wanted, below, above)
    for part in range(8):
        some = np.floor(chance * 8) == part
        assert is_binomial(is_above[some], chance[some])


STORED = {
    "bfloat16": Cast(jnp.bfloat16, "stochastic"),
    "8 bits": Blockwise(code=Minifloat(), min_size=1),
}


SLOTS = ("mu", "nu")


def kept(codec, gradient, seed=0):
    """Both slots of Adam after a step, as a rule sees them, of two leaves alike."""
    params = {"w": jnp.zeros(gradient.shape), "v": jnp.zeros(gradient.shape)}
    gradients = dict.fromkeys(params, jnp.asarray(gradient))
    tx = adamx.store(adamx.scale_by_adam(), seed=seed, mu=codec, nu=codec)
    _, state = jax.jit(tx.update)(gradients, tx.init(params), params)
    slots = {name: kept_slot(tx, state, name, params) for name in SLOTS}
    return jax.tree.map(np.asarray, slots)


@pytest.mark.parametrize("form", STORED)
def test_random_bits_of_a_store(form):
    """The chances are met, in each of two leaves and two seeds, and independently.

    The same seed rounds alike.
    """
    gradient = np.random.default_rng(0).normal(size=(160, 128)).astype(np.float32)
    exact = kept(Cast(jnp.float32), gradient)
    runs = [kept(STORED[form], gradient, seed) for seed in (0, 1)]
    again = kept(STORED[form], gradient, 1)
    jax.tree.map(np.testing.assert_array_equal, again, runs[1])
    off = []
    for name in SLOTS:
        x = exact[name]["w"].astype(np.float64)
        if form == "bfloat16":
            below, above = numbers.BFLOAT16.around(x)
        else:
            scale = numbers.largest_of_blocks(x, 128)
            below, above = numbers.around(x / scale, numbers.minifloat(8, name == "mu"))
            below, above = below * scale, above * scale
        chance = numbers.chance_of_upper(x, below, above)
        for leaf in (run[name][path] for run in runs for path in ("w", "v")):
            is_above = np.abs(leaf - above) < np.abs(leaf - below)
            nearer = np.where(is_above, above, below)
            np.testing.assert_allclose(leaf, nearer, rtol=1e-6, atol=0)
            assert is_binomial(is_above, chance)
            spread = np.sqrt(chance * (1 - chance))
            off.append((is_above - chance) / np.where(spread > 0, spread, 1))
    # Neighbours along both axes; then slots, seeds and leaves, each with each.
    pairs = [(off[0][:, 1:], off[0][:, :-1]), (off[0][1:], off[0][:-1])]
    for one, other in [*pairs, *itertools.combinations(off, 2)]:
        product = one * other
        assert abs(product.sum()) <= 4.5 * np.sqrt((product**2).sum())
