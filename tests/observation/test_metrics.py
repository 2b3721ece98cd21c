"""The metrics of observed steps, each beside its equation in NumPy, in float64.

The run is AdamW behind a clip by the global norm, written out below from its equations;
what a wrapper adds is compared with that, or with the arithmetic of the elements.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import storage

B1, B2, EPS, DECAY, LIMIT, STEPS = 0.9, 0.99, 0.05, 0.1, 2.0, 5
SHAPES = {"a": {"kernel": (8, 30)}, "b": (40,)}


def rate(count):
    return 0.1 / (count + 1.0)


def tree(seed):
    normal = np.random.default_rng(seed).standard_normal
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    return jax.tree.map(lambda s: normal(s).astype("float32"), SHAPES, is_leaf=is_shape)


PARAMS = tree(0)
GRADS = [jax.tree.map(lambda x: 0.1 * x, tree(1 + i)) for i in range(STEPS)]


def adamw():
    decay = adamx.parts.WeightDecay(DECAY)
    direction = adamx.scale_by_adamw(B1, B2, EPS)
    clip = adamx.parts.ClipByGlobalNorm(LIMIT)
    return adamx.chain(clip, direction, decay, adamx.parts.LearningRate(rate))


def flat(tree):
    """All elements of a tree, in float64."""
    return np.concatenate([np.float64(x).ravel() for x in jax.tree.leaves(tree)])


def trajectory():
    """Before each step θ, and g, the clipped g, m̂, v̂ and the update, by equations."""
    theta, m, v, steps = flat(PARAMS), 0.0, 0.0, []
    for t, grads in enumerate(GRADS, 1):
        g = flat(grads)
        cut = g * min(1.0, LIMIT / np.linalg.norm(g))
        m, v = B1 * m + (1 - B1) * cut, B2 * v + (1 - B2) * cut**2
        m_hat, v_hat = m / (1 - B1**t), v / (1 - B2**t)
        u = -rate(t - 1) * (m_hat / (np.sqrt(v_hat) + EPS) + DECAY * theta)
        steps.append((theta, g, cut, m_hat, v_hat, u))
        theta = theta + u
    return steps


def expected(theta, g, cut, m_hat, v_hat, u, keep=slice(None)):
    """The metrics of the elements that `keep` has, from their equations."""
    theta, g, cut, m_hat, v_hat, u = (x[keep] for x in (theta, g, cut, m_hat, v_hat, u))
    rates = np.abs(u) / np.abs(g)
    quantile = functools.partial(np.quantile, rates, method="inverted_cdf")
    norm = np.linalg.norm
    return {
        "grad_norm": norm(g),
        "update_norm": norm(u),
        "param_norm": norm(theta),
        "update_ratio": norm(u) / norm(theta),
        "effective_rate_p05": quantile(0.05),
        "effective_rate_p50": quantile(0.5),
        "effective_rate_p95": quantile(0.95),
        "rounded_away": 0.0,
        "clipped": np.mean(cut != g),
        "clipped_norm": norm(cut),
        "eps_dominates": np.mean(np.sqrt(v_hat) < EPS),
        "signal_to_noise": np.mean(np.abs(m_hat) / np.sqrt(v_hat)),
    }


def two_calls(tx, params, grads, state):
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state


@functools.cache
def run(tx, step=two_calls, dtype=None):
    """The metrics after each step, all steps in one program, and the end of the run."""
    cast = lambda x: jax.tree.map(lambda a: jnp.asarray(a, dtype), x)  # noqa: E731

    @jax.jit
    def whole(params, state, grads):
        def one(carry, g):
            params, state = step(tx, carry[0], g, carry[1])
            return (params, state), adamx.metrics(state)

        return jax.lax.scan(one, (params, state), grads)

    params = cast(PARAMS)
    grads = jax.tree.map(lambda *x: jnp.stack(x), *map(cast, GRADS))
    (params, state), seen = whole(params, tx.init(params), grads)
    each = [{key: float(x[i]) for key, x in seen.items()} for i in range(STEPS)]
    return each, params, state


def plain_run(tx, params=PARAMS):
    state = tx.init(params)
    step = jax.jit(functools.partial(two_calls, tx))
    for grads in GRADS:
        params, state = step(params, grads, state)
    return params, state


def assert_metrics(got, wanted, rtol=2e-5):
    missing = wanted.keys() - got.keys()
    assert missing == set()
    for key, value in wanted.items():
        np.testing.assert_allclose(got[key], value, rtol, 1e-7, err_msg=key)


# ---- every key beside its equation ----------------------------------------------


def test_every_key_is_its_equation():
    each, *_ = run(adamx.observe(adamw(), every=1))
    clipped = []
    for t, (got, step) in enumerate(zip(each, trajectory(), strict=True), 1):
        assert_metrics(got, expected(*step))
        assert got["learning_rate"] == pytest.approx(rate(t - 1))
        assert (got["step"], got["nonfinite_leaf"], got["nonfinite_step"]) == (t, -1, 0)
        clipped.append(got["clipped"])
        assert 0 < got["eps_dominates"] < 1, "the equation is not met trivially"
    assert set(clipped) == {0.0, 1.0} or set(clipped) == {0.0}


def test_elements_that_are_clipped_and_masked():
    """By two clips, one of elements and one of leaves, and by caution after them."""
    clips = (adamx.parts.Clip(0.1), adamx.parts.ClipByNorm(0.5))
    tx = adamx.chain(*clips, adamx.cautious(adamx.adam(0.1)))
    each, m = run(adamx.observe(tx, every=1))[0], 0.0
    for got, grads in zip(each, GRADS, strict=True):
        changed, clipped = [], []
        for g in map(np.float64, jax.tree.leaves(grads)):
            cut = np.clip(g, -0.1, 0.1)
            norm = np.linalg.norm(cut)
            changed.append(((cut != g) | (norm > 0.5)).ravel())
            clipped.append((cut * min(1, 0.5 / norm)).ravel())
        assert got["clipped"] == pytest.approx(np.mean(np.concatenate(changed)))
        g = np.concatenate(clipped)
        assert got["clipped_norm"] == pytest.approx(np.linalg.norm(g))
        m = 0.9 * m + 0.1 * g
        assert got["cautious_masked"] == pytest.approx(np.mean(m * g < 0))
    assert got["cautious_masked"] > 0


def test_steps_that_round_to_nothing():
    """θ + u is θ in bfloat16 if u is below half the distance to the next number."""
    each, *_ = run(adamx.observe(adamx.sgd(0.02), every=1), dtype="bfloat16")
    params, u = (jnp.bfloat16(flat(x)) for x in (PARAMS, GRADS[0]))
    u = jnp.bfloat16(-0.02 * u.astype("float32"))
    lost = np.mean((params + u == params) & (u != 0))
    assert 0.1 < lost < 0.9
    assert each[0]["rounded_away"] == pytest.approx(lost)


def test_stochastic_rounding_loses_the_steps_that_it_rounds_away():
    tx = adamx.chain(adamx.sgd(0.02), adamx.stochastic_rounding())
    observed = adamx.observe(tx, every=1)
    each, *_ = run(observed, dtype="bfloat16")
    params = jax.tree.map(jnp.bfloat16, PARAMS)
    grads = jax.tree.map(jnp.bfloat16, GRADS[0])
    updates, _ = tx.update(grads, tx.init(params), params)
    assert each[0]["rounded_away"] == pytest.approx(np.mean(flat(updates) == 0))
    assert 0.1 < each[0]["rounded_away"] < 0.9


# ---- sampling --------------------------------------------------------------------


def test_the_first_step_is_sampled_and_then_every_third():
    often, rarely = (run(adamx.observe(adamw(), every=n))[0] for n in (1, 3))
    assert [int(x["step"]) for x in rarely] == [1, 1, 1, 4, 4]
    for got, sampled in zip(rarely, [0, 0, 0, 3, 3], strict=True):
        assert_metrics(got, often[sampled], 1e-6)


def test_the_steps_are_those_without():
    params, state = plain_run(adamw())
    _, observed, inside = run(adamx.observe(adamw(), every=3))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
    jax.tree.map(close, observed, params)
    jax.tree.map(close, inside.inner, state)


def test_an_unobserved_program_is_unchanged():
    """And an observed one has one branch besides, and the same arrays in the state."""
    tx = adamw()
    state = tx.init(PARAMS)
    before = jax.jit(tx.update).lower(PARAMS, state, PARAMS).as_text()
    observed = adamx.observe(tx, every=2)
    kept = observed.init(PARAMS)
    text = jax.jit(observed.update).lower(PARAMS, kept, PARAMS).as_text()
    assert jax.jit(adamw().update).lower(PARAMS, state, PARAMS).as_text() == before
    assert "stablehlo.case" not in before
    assert "stablehlo.sort" not in before
    assert "stablehlo.case" in text
    arrays = [x for x in jax.tree.leaves(kept) if x.ndim]
    assert len(arrays) == len([x for x in jax.tree.leaves(state) if x.ndim])


def test_some_elements_stand_for_all():
    """The norm of the gradient is that of all; the others are those of every fifth."""
    tx = adamx.observe(adamw(), every=1, elements=60)
    whole, some = run(adamx.observe(adamw(), every=1))[0], run(tx)[0]
    for one, other in zip(some, whole, strict=True):
        assert one["grad_norm"] == pytest.approx(other["grad_norm"])
        assert one["clipped"] == other["clipped"]
        assert one["clipped_norm"] == pytest.approx(other["clipped_norm"])
        assert one["update_norm"] == pytest.approx(other["update_norm"], rel=0.4)
        assert one["update_norm"] != other["update_norm"]
        for key in ("eps_dominates", "signal_to_noise"):
            assert one[key] == pytest.approx(other[key], abs=0.25)


# ---- what is not finite ------------------------------------------------------------


@pytest.mark.parametrize(("every", "step"), [(1, 4), (None, 5)])
def test_the_first_leaf_that_is_not_finite_is_named(every, step):
    """By the sample after it, or with `nonfinite_every=1` at the step itself."""
    tx = adamx.observe(adamx.sgd(0.1), every=2, nonfinite_every=every)
    state, params = tx.init(PARAMS), PARAMS
    one = jax.jit(functools.partial(two_calls, tx))
    for t in range(1, 7):
        grads = jax.tree.map(np.array, GRADS[0])
        if t == 4:
            grads["a"]["kernel"][3, 5] = np.nan
        if t >= 4:
            grads["b"][7] = np.inf
        params, state = one(params, grads, state)
        if t < step:
            assert adamx.first_nonfinite(state, params) is None
    found = adamx.first_nonfinite(state, params)
    assert found == ("a/kernel", step)
    assert int(adamx.metrics(state)["nonfinite_leaf"]) == 0


def test_a_large_gradient_is_finite():
    """Its square is not in float32."""
    tx = adamx.observe(adamx.sgd(0.1), every=1)
    grads = jax.tree.map(lambda x: np.full_like(x, 1e30), PARAMS)
    _, state = jax.jit(tx.update)(grads, tx.init(PARAMS), PARAMS)
    assert adamx.first_nonfinite(state, PARAMS) is None


# ---- whole and by group ------------------------------------------------------------


def test_groups():
    """`b` is AdamW's as above, without the clip."""
    direction = adamx.scale_by_adamw(B1, B2, EPS)
    decay = adamx.parts.WeightDecay(DECAY)
    tail = adamx.chain(direction, decay, adamx.parts.LearningRate(rate))
    tx = adamx.groups([("kernel", adamx.sgd(0.1)), (..., tail)])
    each, *_ = run(adamx.observe(tx, every=1))
    theta, g = trajectory()[0][:2]
    kernel, own = slice(0, 240), slice(240, None)
    u = -rate(0) * (g / (np.abs(g) + EPS) + DECAY * theta)
    wanted = expected(theta, g, g, g, g**2, u, own)
    del wanted["clipped"], wanted["clipped_norm"]
    got = each[0]
    assert_metrics(got, {f"group2/{key}": x for key, x in wanted.items()})
    assert got["group1/grad_norm"] == pytest.approx(np.linalg.norm(g[kernel]))
    assert got["group2/grad_norm"] == pytest.approx(np.linalg.norm(g[own]))
    assert got["grad_norm"] == pytest.approx(np.linalg.norm(g))
    assert got["group1/effective_rate_p50"] == pytest.approx(0.1)
    assert got["group1/learning_rate"] == pytest.approx(0.1)
    assert [x["group2/learning_rate"] for x in each] == pytest.approx(
        [rate(t) for t in range(STEPS)]
    )
    assert "group2/eps_dominates" in got
    assert "group1/eps_dominates" not in got


def test_the_norm_after_a_clip_of_some_leaves():
    """Of one group; the others count as they are, and a clip of the step does not."""
    clip = adamx.parts.ClipByGlobalNorm(LIMIT / 4)
    late = adamx.chain(adamx.scale_by_adam(), clip, adamx.parts.LearningRate(0.1))
    tx = adamx.groups([("kernel", adamx.chain(clip, adamx.sgd(0.1))), (..., late)])
    got, g = run(adamx.observe(tx, every=1))[0][0], flat(GRADS[0])
    assert got["group1/clipped_norm"] == pytest.approx(LIMIT / 4)
    rest = np.linalg.norm(g[240:])
    assert got["clipped_norm"] == pytest.approx(np.hypot(LIMIT / 4, rest))
    assert "group2/clipped" in got
    assert "group2/clipped_norm" not in got


# ---- storage -----------------------------------------------------------------------


def test_compressed_slots():
    """μ in 8 bits, ν in 4; `adamx.slots` reads them in the same program."""
    stored = adamx.store(
        adamx.adam(0.1, 0.5, 0.9),
        mu=storage.Blockwise(bits=8, min_size=0),
        nu=storage.Blockwise(bits=4, min_size=0, rounding="nearest"),
    )
    tx = adamx.observe(stored, every=1)
    params = np.random.default_rng(0).standard_normal((16, 18)).astype("float32")
    grads = np.random.default_rng(1).standard_normal((4, 16, 18)).astype("float32")

    def read(state):
        return [adamx.slots(state, name, params) for name in ("mu", "nu")]

    @jax.jit
    def steps(state):
        def one(state, g):
            updates, after = tx.update(g, state, params)
            codes = [after.inner.slots[name]["codes"] for name in ("mu", "nu")]
            found = (adamx.metrics(after), read(state), read(after), codes, updates)
            return after, found

        return jax.lax.scan(one, state, grads)[1]

    seen, before, after, codes, updates = steps(tx.init(params))
    for t in range(4):
        got = {key: float(x[t]) for key, x in seen.items()}
        norm = np.linalg.norm(np.float64(updates[t]))
        assert got["update_norm"] == pytest.approx(norm)
        g = np.float64(grads[t])
        for i, (name, b, x) in enumerate([("mu", 0.5, g), ("nu", 0.9, g * g)]):
            was, now = np.float64(before[i][t]), np.float64(after[i][t])
            exact = b * was + (1 - b) * x
            stale = np.mean(np.abs(now - was) < 0.5 * np.abs(exact - was))
            assert got[f"{name}_staleness"] == pytest.approx(stale, abs=1e-6)
        eight, four = (np.asarray(x[t]) for x in codes)
        assert got["mu_codes_used"] == pytest.approx(np.unique(eight).size / 256)
        halves = np.unique(np.concatenate([four & 15, four >> 4]))
        assert got["nu_codes_used"] == pytest.approx(halves.size / 16)
    assert got["nu_staleness"] > 0.02


# ---- any transformation --------------------------------------------------------------


def test_a_transformation_of_optax():
    tx = optax.adam(0.1)
    each, *_ = run(adamx.observe(tx, every=1))
    updates, _ = tx.update(GRADS[0], tx.init(PARAMS), PARAMS)
    u, g = flat(updates), flat(GRADS[0])
    wanted = {"update_norm": np.linalg.norm(u), "grad_norm": np.linalg.norm(g)}
    rates = np.abs(u) / np.abs(g)
    wanted["effective_rate_p50"] = np.quantile(rates, 0.5, method="inverted_cdf")
    assert_metrics(each[0], wanted)
    assert "learning_rate" not in each[0]
    assert "eps_dominates" not in each[0]
