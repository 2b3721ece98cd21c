"""Parameters of few digits: where they land, and what their masters are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.storage import low_precision_params as landing
from tests.papers import codecs as paper
from tests.support.optimized import MANY_NUMBERS

EVERY_EXPONENT = np.arange(0x0080_0000, 0x7F80_0000, 0x0001_2345, dtype=np.uint32)
"""Normal float32 patterns, some of every exponent."""


def as_float(bits):
    return jax.lax.bitcast_convert_type(jnp.asarray(bits, jnp.uint32), jnp.float32)


def as_bits(x):
    return np.asarray(jax.lax.bitcast_convert_type(x, jnp.uint32))


@MANY_NUMBERS
def test_every_pattern_of_32_bits_is_recovered():
    """All 2³² of them, in 64 chunks."""

    @jax.jit
    def wrong(start):
        bits = start + jax.lax.iota(jnp.uint32, 1 << 26)
        weight, residual = landing.split(
            jax.lax.bitcast_convert_type(bits, jnp.float32)
        )
        back = landing.joined(weight, residual)
        back = jax.lax.bitcast_convert_type(back, jnp.uint32)
        upper = jax.lax.bitcast_convert_type(weight, jnp.uint32) & 0xFFFF
        outside = (residual < -0x8000) | (residual > 0x7FFF)
        return jnp.sum((back != bits) | (upper != 0) | outside)

    assert sum(int(wrong(jnp.uint32(k << 26))) for k in range(64)) == 0


def test_the_split_is_that_of_the_formula():
    bits = np.random.default_rng(0).integers(0, 1 << 32, 4096, dtype=np.uint32)
    weight, residual = landing.split(as_float(bits))
    upper, rest = paper.split(bits)
    assert np.array_equal(as_bits(weight) >> 16, upper % (1 << 16))
    assert np.array_equal(residual, rest)


def test_every_float_of_24_bits_is_recovered():
    """All 2²⁴ patterns whose lowest 8 bits are 0, NaN aside: nothing is rounded."""

    @jax.jit
    def wrong():
        bits = jax.lax.iota(jnp.uint32, 1 << 24) << 8
        master = jax.lax.bitcast_convert_type(bits, jnp.float32)
        kept = landing.in_24_bits(master, 0.999)
        weight, residual = landing.split(kept)
        short = (residual // 256).astype(jnp.int8)
        back = landing.joined(weight, short.astype(jnp.int32) * 256)
        back = jax.lax.bitcast_convert_type(back, jnp.uint32)
        return jnp.sum((back != bits) & ~jnp.isnan(master))

    assert int(wrong()) == 0


def test_24_bits_are_within_their_last_place_and_right_on_average():
    x = as_float(EVERY_EXPONENT)
    shape = (64, len(EVERY_EXPONENT))
    draws = jnp.asarray(np.random.default_rng(0).uniform(size=shape), jnp.float32)
    kept = np.asarray(jax.jit(landing.in_24_bits)(x, draws), np.float64)
    off = kept / np.asarray(x, np.float64) - 1
    assert np.abs(off).max() <= 2.0**-15
    assert np.abs(off.mean()) < 4 * off.std() / np.sqrt(off.size)


def steps_from(tx, p, u):
    """One step of `u` through the last part of a chain and `optax.apply_updates`."""
    updates, state = jax.jit(tx.update)(u, tx.init(p), p)
    return optax.apply_updates(p, updates), state


@pytest.mark.parametrize("bits", [16, 8])
def test_the_master_and_the_weight_agree_over_all_exponents(bits):
    """Whatever the step: to itself, by a digit, across zero, or by 2⁴⁰ either way."""
    tx = adamx.split_master(bits)
    exponents = jnp.arange(-126.0, 127.0)
    p = jnp.concatenate([jnp.exp2(exponents) * c for c in (1.0, -1.37)])
    p = p.astype(jnp.bfloat16)
    wide = p.astype(jnp.float32)
    unit = 2.0**-15 if bits == 8 else 2.0**-23
    for ratio in (
        0,
        1e-9,
        1e-4,
        -3e-3,
        0.3,
        -0.999,
        -1,
        -1.7,
        1e6,
        1e-12,
        2.0**-30 - 1,
    ):
        u = wide * ratio
        q, state = steps_from(tx, p, u)
        old, step = np.asarray(wide, np.float64), np.asarray(u, np.float64)
        want = old + step
        fits = (np.abs(want) < 3e38) & (np.abs(want) > 1e-37)
        want, old = want[fits], old[fits]
        weight = q.astype(jnp.float32)[fits]
        master = jnp.asarray(adamx.master_params(state, q))[fits]
        # as near as float32 addition to the old weight is, or the master's own digits
        near = np.abs(want) * unit + np.abs(old) * 2.0**-23
        assert np.all(np.abs(np.asarray(master, np.float64) - want) <= near), ratio
        halves = as_bits(master).astype(np.int64) - as_bits(weight).astype(np.int64)
        assert np.all(np.abs(halves) <= 0x8000), ratio


def test_a_step_that_float32_cannot_take_is_kept_by_the_master():
    """From 1 to 2⁻³⁰: p + u is 0 in float32, so that is where both are."""
    p = jnp.ones(3, jnp.bfloat16)
    q, state = steps_from(adamx.split_master(), p, jnp.full(3, 2.0**-30 - 1))
    master = adamx.master_params(state, q)
    assert np.array_equal(q, jnp.zeros(3))
    assert np.all(np.abs(master) < 1e-37)


@MANY_NUMBERS
@pytest.mark.parametrize("bits", [16, 8])
def test_a_million_steps_and_the_two_never_part(bits):
    """The master stays the float32 number whose nearest bfloat16 is the weight."""
    tx = adamx.split_master(bits)
    n, steps = 64, 1_000_000
    start = jnp.asarray(np.random.default_rng(0).standard_normal(n), jnp.bfloat16)

    @jax.jit
    def run(p):
        def one(carry, k):
            p, state, parted, exact = carry
            size = jnp.exp2(-(k % 23).astype(jnp.float32))
            u = size * jnp.sin(k.astype(jnp.float32) + jnp.arange(float(n)))
            before = adamx.master_params(state, p)
            updates, state = tx.update(u, state, p)
            p = optax.apply_updates(p, updates)
            master = adamx.master_params(state, p)
            near = jnp.abs(master - p.astype(jnp.float32))
            # half a unit of the weight's last place, 2⁻⁸ of it at most
            parted += jnp.sum(near > jnp.abs(master) * 2.0**-8)
            exact += jnp.sum(master == before + u)
            return (p, state, parted, exact), None

        carry = (p, tx.init(p), jnp.int32(0), jnp.int32(0))
        return jax.lax.scan(one, carry, jnp.arange(steps))[0]

    _, _, parted, exact = run(start)
    assert int(parted) == 0
    if bits == 16:
        assert int(exact) / (n * steps) > 0.9999


def test_sixteen_bits_are_the_float32_run_bit_for_bit():
    """The masters are the float32 sums of what the chain before returned."""
    rng = np.random.default_rng(1)
    p = jnp.asarray(rng.standard_normal((64, 32)), jnp.bfloat16)
    tx = adamx.split_master()
    want, state, update = np.asarray(p, np.float32), tx.init(p), jax.jit(tx.update)
    for _ in range(20):
        u = np.float32(rng.standard_normal(p.shape) * 1e-3)
        updates, state = update(jnp.asarray(u), state, p)
        p, want = optax.apply_updates(p, updates), want + u
        assert np.array_equal(as_bits(adamx.master_params(state, p)), as_bits(want))


def test_a_chain_with_a_master_follows_the_float32_run():
    """Adam on bfloat16 weights, no decay: to the last place of the masters."""
    rng = np.random.default_rng(2)
    p = {"w": jnp.asarray(rng.standard_normal((64, 32)), jnp.bfloat16)}
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), p)
    tx, plain = adamx.chain(adamx.adam(1e-4), adamx.split_master()), adamx.adam(1e-4)
    state, wide_state = tx.init(p), plain.init(wide)
    update, wide_update = jax.jit(tx.update), jax.jit(plain.update)
    for _ in range(20):
        g = {"w": jnp.asarray(rng.standard_normal((64, 32)), jnp.float32)}
        updates, state = update(g, state, p)
        p = optax.apply_updates(p, updates)
        updates, wide_state = wide_update(g, wide_state, wide)
        wide = optax.apply_updates(wide, updates)
    master = adamx.master_params(state, p)["w"]
    assert np.abs(master - wide["w"]).max() <= 20 * 2.0**-24 * np.abs(master).max()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_stochastic_rounding_goes_where_it_is_sent(dtype):
    """Nearest rounding takes 3 % of a step of 1e-4; this takes all of it."""
    tx = adamx.stochastic_rounding()
    p = jnp.asarray(np.random.default_rng(0).standard_normal(100_000), dtype)
    u = jnp.full(p.shape, 1e-4, jnp.float32)
    q, state = steps_from(tx, p, u)
    moved = np.asarray(q, np.float64) - np.asarray(p, np.float64)
    standard_error = moved.std() / np.sqrt(moved.size)
    assert abs(moved.mean() - 1e-4) < 4 * standard_error
    assert q.dtype == dtype
    assert state.slots == {}
    assert len(jax.tree.leaves(state)) == 1


def test_stochastic_rounding_leaves_float32_as_it_is():
    tx, p = adamx.stochastic_rounding(), jnp.ones(3)
    updates, _ = tx.update(jnp.full(3, 1e-9), tx.init(p), p)
    assert np.array_equal(updates, jnp.full(3, 1e-9))


def test_a_rounding_part_returns_float32_for_bfloat16_gradients():
    p = {"w": jnp.ones(8, jnp.bfloat16)}
    for last in (adamx.stochastic_rounding(), adamx.split_master()):
        tx = adamx.chain(adamx.adam(1e-3), last)
        updates, _ = tx.update(p, tx.init(p), p)
        assert updates["w"].dtype == jnp.float32


def test_refusals():
    with pytest.raises(ValueError, match=r"split_master: `bits` must be 16 or 8"):
        adamx.split_master(12)
    with pytest.raises(ValueError, match="must be last, got StochasticRounding"):
        adamx.chain(adamx.stochastic_rounding(), adamx.parts.LearningRate(1.0))
    tx, p = adamx.split_master(), jnp.ones(3)
    with pytest.raises(
        TypeError, match="every parameter must be bfloat16, got float32"
    ):
        tx.update(p, tx.init(p), p)
    with pytest.raises(ValueError, match="must hold one residual, got 0"):
        adamx.master_params(adamx.adam().init(p), p)
