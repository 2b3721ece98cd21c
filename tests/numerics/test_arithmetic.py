"""The scalars that go wrong in float32, against 50-digit arithmetic."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

import adamx
from adamx.numerics.arithmetic import arctan2
from adamx.parts import (
    Debiased,
    Ema,
    Identity,
    Precondition,
    Rectified,
    RootPlusEps,
    square,
)
from tests.papers import exact
from tests.support.trees import grads, params, stacked
from tests.table.cases import BASIC, SCHEDULES, cases, sample

DECAYS = (0.0, 1e-3, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999, 1 - 1e-6)
LOG_GRID = sorted({round(10 ** (e / 12)) for e in range(7 * 12 + 1)})
TIMES = sorted({*range(1, 201), *LOG_GRID})


def at_step(tx, t, **slots):
    """The state of a transform on one scalar just before its step `t`."""
    state = tx.init(jnp.float32(0))
    return state._replace(
        count=jnp.asarray(t - 1, jnp.int32),
        slots={**state.slots, **{k: jnp.float32(v) for k, v in slots.items()}},
    )


@pytest.mark.parametrize("b", DECAYS)
def test_bias_correction_to_5e_7(b):
    """A gradient of 1 on an empty average comes out as (1 - b) / (1 - b^t)."""
    tx = Debiased(Ema(b))
    states = stacked([at_step(tx, t) for t in TIMES])
    got = jax.vmap(lambda state: tx.update(jnp.float32(1), state)[0])(states)
    for t, x in zip(TIMES, np.asarray(got, np.float64), strict=True):
        want = (1 - mpmath.mpf(b)) / exact.one_minus_power(b, t)
        assert abs(x / want - 1) <= 5e-7, (t, x)


@pytest.mark.parametrize("b", [0.9, 0.999, 0.9999])
def test_bias_correction_of_an_array_is_as_good_as_float32_allows(b):
    """Against the decay that float32 holds, followed step by step from the start."""
    tx, steps = Debiased(Ema(jnp.float32(b))), 3000

    def step(state, _):
        updates, state = tx.update(jnp.float32(1), state)
        return state, updates

    got = np.asarray(jax.lax.scan(step, tx.init(jnp.float32(0)), length=steps)[1])
    # The average of a constant is that constant: correction and moment agree.
    np.testing.assert_allclose(got, 1.0, rtol=3e-6)


@pytest.mark.parametrize("b", [0.9, 0.99, 0.999])
def test_a_constant_and_its_float32_array_follow_one_trajectory(b):
    """Up to what float32(b) has lost of b."""
    lost = abs(float(np.float32(b)) - b) / (1 - b)
    allowed = max(1.5 * lost, 1e-6)
    assert allowed <= 2e-5
    steps = stacked([grads(k) for k in range(50)])

    def run(tx):
        def step(state, g):
            updates, state = tx.update(g, state)
            return state, updates

        return jax.lax.scan(step, tx.init(params()), steps)[1]

    constant = run(adamx.scale_by_adam(b2=b))
    array = run(adamx.scale_by_adam(b2=jnp.float32(b)))
    for a, c in zip(jax.tree.leaves(array), jax.tree.leaves(constant), strict=True):
        np.testing.assert_allclose(a, c, rtol=0, atol=allowed * np.max(np.abs(c)))


# t up to 2,000 without a gap, then to 1e7.
RADAM_TIMES = sorted({*range(1, 2001), *LOG_GRID})
B2S = (0.9, 0.99, 0.999, 0.9999, 1 - 1e-5)


@functools.cache
def exact_rho(b2):
    return {t: exact.rho(t, b2) for t in RADAM_TIMES}


def rectified(b2, times, thresholds):
    """The multiplier that step `t` gets, on an average kept at v̂ = 1; 1 if none.

    The gradient is 1 and `nu` is what makes the corrected average 1, so that the update
    is r_t where the step is rectified and exactly 1 where it is not.
    """
    weights = np.array([float(exact.one_minus_power(b2, t)) for t in times])
    nu = (weights - (1 - b2)) / b2

    def multiplier(t, nu, threshold):
        second = Debiased(Ema(b2, of=square, name="nu"))
        tx = Precondition(Identity(), by=Rectified(RootPlusEps(second, 0.0), threshold))
        updates, _ = tx.update(jnp.float32(1), at_step(tx, t, nu=nu))
        return updates

    return np.asarray(
        jax.vmap(multiplier)(
            jnp.asarray(times, jnp.int32),
            jnp.asarray(nu, jnp.float32),
            jnp.asarray(np.broadcast_to(thresholds, len(times)), jnp.float32),
        ),
        np.float64,
    )


@pytest.mark.parametrize("b2", B2S)
def test_the_rectifier_to_1e_5_at_every_step(b2):
    got = rectified(b2, RADAM_TIMES, 5.0)
    for t, r in zip(RADAM_TIMES, got, strict=True):
        if exact_rho(b2)[t] > 5:
            assert abs(r / exact.rectifier(t, b2) - 1) <= 1e-5, t
        else:
            assert r == 1.0, f"rectified at {t}"


@pytest.mark.parametrize("b2", B2S)
def test_the_branch_turns_within_1e_5_of_the_exact_rho(b2):
    """A threshold 1e-5 above ρ_t is not passed; one 1e-5 below is."""
    rho = np.array([float(exact_rho(b2)[t]) for t in RADAM_TIMES])
    above = rectified(b2, RADAM_TIMES, rho * (1 + 1e-5))
    assert np.all(above == 1.0)
    below = rectified(b2, RADAM_TIMES, rho * (1 - 1e-5))
    # Where r_t rounds to 1 the two branches are the same; up to 4 there is no r_t.
    telling = np.array(
        [r * (1 - 1e-5) > 4 and abs(exact.rectifier(t, b2) - 1) > 1e-4
         for t, r in zip(RADAM_TIMES, rho, strict=True)]
    )  # fmt: skip
    assert np.sum(telling) > 50
    assert np.all(below[telling] != 1.0)


VARYING = pytest.mark.parametrize("case", sample())


@VARYING
def test_one_schedule_in_three_ways_is_one_trajectory(case):
    """Natively, kept in the state by `tunable`, through `optax.inject_hyperparams`."""
    names = [n for n in ("learning_rate", "b1", "b2", "decay", "eps", "weight_decay")
             if n == "learning_rate" or n in case.hypers]  # fmt: skip
    schedules = {n: SCHEDULES[n] for n in names}
    native = case.build(**schedules)
    injected = optax.inject_hyperparams(case.optimizer.function)(
        **{**case.keywords, **schedules}
    )
    constants = {n: f(0) for n, f in schedules.items()}
    tunable = adamx.tunable(case.build(**constants), *names)

    def tune(state, k):
        return adamx.replace_hyperparams(
            state, **{n: jnp.float32(f(k)) for n, f in schedules.items()}
        )

    def run(tx, before=lambda state, k: state):
        def step(carry, inputs):
            p, state = carry
            g, k = inputs
            updates, state = tx.update(g, before(state, k), p)
            return (optax.apply_updates(p, updates), state), updates

        carry = params(), tx.init(params())
        return jax.lax.scan(step, carry, (gradients, jnp.arange(40)))[1]

    gradients = stacked([grads(k) for k in range(40)])
    one = run(native)
    for other in (run(injected), run(tunable, tune)):
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6 * np.max(np.abs(b)))


DIVIDING = pytest.mark.parametrize(
    "case",
    # what is asked is the size of Adam's step; others scale it
    cases(first_only=True, where=lambda c: "nu" in c.optimizer.slots, optimizers=BASIC),
)


@DIVIDING
@pytest.mark.parametrize("size", [300.0, 5e-3, 1e-4])
def test_the_square_of_a_float16_gradient_neither_overflows_nor_vanishes(case, size):
    half, single = (jnp.full((3,), size, d) for d in ("float16", "float32"))
    tx = case.scale_by()
    for _ in range(2):
        got, _ = tx.update(half, tx.init(jnp.zeros(3, "float16")))
        want, _ = tx.update(half.astype("float32"), tx.init(jnp.zeros_like(single)))
        np.testing.assert_array_equal(got, want.astype("float16"))
        assert np.all(np.isfinite(got))
        assert np.all(got != 0)


@DIVIDING
def test_the_second_moment_follows_bfloat16_gradients_that_shrink(case):
    """bfloat16 moments stick: updates stay 7 times too small for ever."""
    tx, p = case.scale_by(), jnp.zeros((2,), jnp.bfloat16)

    def step(state, size):
        updates, state = tx.update(jnp.full((2,), size, jnp.bfloat16), state)
        return state, updates

    sizes = jnp.concatenate([jnp.ones(2000), jnp.full(12000, 0.1)])
    state, updates = jax.lax.scan(step, tx.init(p), sizes)
    assert updates.dtype == jnp.bfloat16
    small = float(jnp.bfloat16(0.1))
    np.testing.assert_allclose(state.slots["nu"], small**2, rtol=2e-3)
    np.testing.assert_allclose(np.asarray(updates[-1], np.float64), 1.0, rtol=1e-2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_global_norm_is_exact_whatever_the_dtype(dtype):
    """A million ones have the norm 1000; summed in bfloat16 it is 512."""
    g = {"a": jnp.ones((1000, 900), dtype), "b": jnp.ones((100_000,), dtype)}
    tx = adamx.parts.ClipByGlobalNorm(1.0)
    updates, _ = tx.update(g, tx.init(g))
    for leaf in jax.tree.leaves(updates):
        assert leaf.dtype == dtype
        np.testing.assert_array_equal(leaf, jnp.asarray(1e-3, dtype))
    tx = adamx.parts.ClipByGlobalNorm(1000.5)
    for leaf in jax.tree.leaves(tx.update(g, tx.init(g))[0]):
        np.testing.assert_array_equal(leaf, jnp.ones((), dtype))


def test_the_global_norm_clip_is_safe_at_zero():
    tx = adamx.parts.ClipByGlobalNorm(1.0)
    zero = jax.tree.map(jnp.zeros_like, params())

    def clipped(g):
        return sum(jnp.sum(u) for u in jax.tree.leaves(tx.update(g, tx.init(g))[0]))

    value, slope = jax.value_and_grad(clipped)(zero)
    assert value == 0
    for leaf in jax.tree.leaves(slope):
        assert np.all(np.isfinite(leaf))


def test_elementwise_clipping():
    tx = adamx.parts.Clip(0.5)
    g = jnp.asarray([-2.0, -0.5, 0.0, 0.3, 7.0])
    updates, _ = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(updates, jnp.asarray([-0.5, -0.5, 0.0, 0.3, 0.5]))


def plane(dtype):
    """Points of the right half plane, of all sizes and of one; and its edges."""
    rng = np.random.default_rng(0)
    signs, n = rng.choice([-1.0, 1.0], 20_000), 20_000
    wide = np.exp(rng.uniform(-80, 80, (2, n))) * [signs, np.ones(n)]
    near = np.abs(rng.standard_normal((2, n))) * [signs, np.ones(n)]
    edges = [[0.0, -0.0, 2.0, -2.0, 3.0, -3.0], [2.0, 2.0, 0.0, 0.0, 3.0, 3.0]]
    return np.concatenate([wide, near, edges], 1).astype(dtype)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 3e-7), ("float64", 1e-15)])
def test_the_angle_to_3e_7(dtype, bound, x64):
    y, x = plane(dtype)
    got = np.asarray(jax.jit(arctan2)(y, x))
    assert got.dtype == dtype
    want = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    off = np.abs(got - want)
    assert np.all((off <= bound * np.abs(want)) | (off < np.finfo("float32").tiny))
    assert np.array_equal(np.signbit(got), np.signbit(y))


def test_the_angle_at_nothing_is_nothing_and_straight():
    zero = jnp.zeros(())
    assert arctan2(zero, zero) == 0
    assert jax.grad(arctan2, argnums=(0, 1))(zero, zero) == (0, 0)
    assert np.isnan(arctan2(jnp.nan * zero, zero + 1))


def test_the_derivative_of_the_angle_at_any_size():
    """x / (x² + y²) and -y / (x² + y²), whose squares may be beyond float32."""
    y, x = (jnp.asarray(a) for a in plane("float32"))
    slopes = jax.jit(jax.vmap(jax.grad(arctan2, argnums=(0, 1))))(y, x)
    y, x = (np.asarray(a, np.float64) for a in (y, x))
    for got, want in zip(slopes, (x / (x**2 + y**2), -y / (x**2 + y**2)), strict=True):
        seen = (np.abs(want) > 1e-36) & (np.abs(want) < 1e38)
        np.testing.assert_allclose(np.asarray(got)[seen], want[seen], rtol=1e-6)
