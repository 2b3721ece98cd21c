"""Muown: the lengths of the neurons, and what has no length or no neurons."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.parts import MatrixAxes
from tests import papers

IN, OUT = 12, 6
_normal = np.random.default_rng(27).standard_normal
W = _normal((IN, OUT))


def lengths(w):
    return np.linalg.norm(np.asarray(w, np.float64), axis=0)


def run(tx, p, gradient, steps, seed=0):
    """The parameters after some steps; `gradient(p, noise)`."""
    noise = np.random.default_rng(seed).standard_normal((steps, IN, OUT))

    def step(carry, e):
        p, state = carry
        updates, state = tx.update(gradient(p, e), state, p)
        return (optax.apply_updates(p, updates), state), None

    start = p, tx.init(p)
    loop = jax.jit(lambda c, e: jax.lax.scan(step, c, e)[0])
    return loop(start, jnp.asarray(noise, jnp.float32))


def test_lengths_stay_where_the_loss_does_not_see_them_and_grow_under_muon():
    """A gradient that is tangent to each neuron, as before a normalisation layer."""

    def tangent(p, e):
        unit = p["w"] / jnp.linalg.norm(p["w"], axis=0)
        return {"w": e - jnp.sum(e * unit, 0) * unit}

    p = {"w": jnp.asarray(W, jnp.float32)}
    # what rounding leaves of h is as good a gradient as any for Adam without its eps
    tx = adamx.muown(0.02, consistent_rms=1.0, adam_eps=1e-2)
    held, state = run(tx, p, tangent, 300)
    free, _ = run(adamx.muon(0.02, consistent_rms=1.0), p, tangent, 300)
    assert np.abs(lengths(held["w"]) / lengths(W) - 1).max() < 1e-3
    assert np.all(lengths(free["w"]) > 1.2 * lengths(W))
    assert np.all(state.slots["direction_norm"]["w"] > 1.2 * lengths(W))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_length_that_is_kept_is_that_of_the_parameter(dtype):
    p = {"w": jnp.asarray(W, dtype)}
    tx = adamx.muown(0.02, weight_decay=0.1)
    after, state = run(tx, p, lambda p, e: {"w": e.astype(dtype)}, 300)
    assert after["w"].dtype == dtype
    kept = np.abs(state.slots["magnitude"]["w"][0])
    bound = 1e-5 if dtype == "float32" else 2.0**-8
    np.testing.assert_allclose(lengths(after["w"]), kept, rtol=bound)
    assert np.all(kept < 0.9 * lengths(W)), "they decay"


def test_a_neuron_of_zero_is_given_a_direction_and_grows():
    p = {"w": jnp.asarray(W, jnp.float32).at[:, 2].set(0.0)}

    def gradient(p, e):
        return {"w": p["w"] - 1.0}

    zero = {"w": jnp.zeros((IN, OUT))}
    for start in (p, zero):
        after, _ = run(adamx.muown(0.02), start, gradient, 200)
        assert np.all(np.isfinite(after["w"]))
        assert np.all(after["w"][:, 2] > 0.5)
    still, _ = run(adamx.muown(0.02), zero, lambda p, e: zero, 3)
    np.testing.assert_array_equal(still["w"], 0)


def test_leaves_of_one_shape_step_as_each_alone():
    tx = adamx.muown(0.02, weight_decay=0.1)
    p = {n: jnp.asarray(_normal((IN, OUT)), jnp.float32) for n in "ab"}
    p["wide"] = jnp.asarray(_normal((OUT, IN)), jnp.float32)
    g = jax.tree.map(lambda x: jnp.sin(3 * x), p)
    together, _ = jax.jit(tx.update)(g, tx.init(p), p)
    for n in p:
        alone, _ = tx.update({n: g[n]}, tx.init({n: p[n]}), {n: p[n]})
        np.testing.assert_allclose(together[n], alone[n], rtol=1e-4, atol=1e-7)
    products = jax.jit(tx.update).lower(g, tx.init(p), p).as_text().count("dot_general")
    assert products <= 4, "three in one loop, for all three leaves"


@pytest.mark.usefixtures("x64")
def test_a_fused_kernel_is_three_matrices_or_those_of_each_head():
    """`axes=` says so, for both layouts; heads and experts are matrices by name.

    Against the oracle, whose `parts` are the chunks of the authors' code.
    """
    heads, d = 4, 8
    given = {
        "c_attn": {"kernel": (d, 3 * d), "weight": (3 * d, d)},
        "per_head": {"kernel": (d, 3 * d)},
        "query": {"kernel": (d, heads, d // heads)},
        "experts": {"w": (2, d, 5)},
    }
    p = jax.tree.map(_normal, given, is_leaf=lambda x: isinstance(x, tuple))
    axes = {
        "c_attn/kernel": MatrixAxes(split_columns=3),
        "c_attn/weight": MatrixAxes(1, 0, split_columns=3),
        "per_head": MatrixAxes(split_columns=3 * heads),
    }
    rule = {"learning_rate": 0.02, "weight_decay": 0.1, "consistent_rms": None}
    tx = adamx.muown(**rule, axes=axes)
    state = tx.init(p)
    assert state.slots["magnitude"]["query"]["kernel"].shape == (1, heads, d // heads)
    assert state.slots["magnitude"]["experts"]["w"].shape == (2, 1, 5)
    noise = jax.tree.map(lambda x: _normal((4, *x.shape)), p)

    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), p

    loop = jax.jit(lambda c, g: jax.lax.scan(step, c, g)[1])
    found = loop((p, state), noise)

    def oracle(theta, g, **more):
        more = {"out_axis": 1, **more}
        return papers.muown(theta, lambda k, _: g[k], 4, b2=0.95, **rule, **more)

    def compare(found, *args, **more):
        expected = oracle(*args, **more).reshape(found.shape)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)

    for path, more in (
        (("c_attn", "kernel"), {"parts": 3}),
        (("c_attn", "weight"), {"parts": 3, "out_axis": 0}),
        (("per_head", "kernel"), {"parts": 3 * heads}),
    ):
        compare(*(x[path[0]][path[1]] for x in (found, p, noise)), **more)
    query = [x["query"]["kernel"] for x in (found, p, noise)]
    compare(query[0], query[1].reshape(d, d), query[2].reshape(4, d, d))
    for i in range(2):
        of = [x["experts"]["w"] for x in (found, p, noise)]
        compare(of[0][:, i], of[1][i], of[2][:, i])
    whole = oracle(p["c_attn"]["kernel"], noise["c_attn"]["kernel"])
    assert np.abs(found["c_attn"]["kernel"] - whole).max() > 1e-3
    with pytest.raises(ValueError, match="`split_columns` must divide the columns"):
        adamx.muown(axes={"": MatrixAxes(split_columns=5)}).init(p["c_attn"])


def test_what_is_no_matrix_or_out_of_range_is_refused():
    p = {"w": jnp.ones((2, 3, 4))}
    with pytest.raises(ValueError, match=r"MuownStep: every leaf .* got shape \(2, 3"):
        adamx.muown(muon_mask="w").init(p)
    with pytest.raises(ValueError, match=r"muown: `weight_decay` must .*got -1"):
        adamx.muown(weight_decay=-1.0)
    with pytest.raises(ValueError, match=r"muown: `out_axis` must .*got 3"):
        adamx.muown(out_axis=3)
    tx, p = adamx.muown(), {"w": jnp.ones((2, 3))}
    with pytest.raises(ValueError, match="MuownStep needs the parameters, got"):
        tx.update(p, tx.init(p))
    with pytest.raises(ValueError, match="learning rate must stand there once"):
        adamx.chain(tx, adamx.parts.LearningRate(0.1))
