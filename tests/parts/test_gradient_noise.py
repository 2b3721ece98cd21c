"""Gradient noise: its size, its draws, and what they may depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx import chain
from adamx.parts import GradientNoise, LearningRate
from tests import papers
from tests.papers import clips
from tests.support.agreement import (
    START,
)
from tests.support.trees import assert_equal
from tests.table.cases import RATE


def rate():
    return LearningRate(RATE)


def noise(tx, steps=1, shape=(200, 300)):
    p = {"a": jnp.zeros(shape), "b": jnp.zeros(shape)}
    state, drawn = tx.init(p), []
    for _ in range(steps):
        updates, state = tx.update(p, state, p)
        drawn.append(updates)
    return drawn


def test_noise_has_the_variance_of_its_paper():
    tx = GradientNoise(0.01, 0.55)
    for t, drawn in enumerate(noise(tx, 4), 1):
        want = 0.01 / t**0.55
        for x in drawn.values():
            n = x.size
            assert abs(float(jnp.mean(x))) < 4 * np.sqrt(want / n)
            assert abs(float(jnp.var(x)) / want - 1) < 4 * np.sqrt(2 / n)


def test_noise_is_the_papers_with_its_draws_given(x64):
    tx = GradientNoise(0.3, 0.55, seed=3)
    draws = [
        x["a"] * np.sqrt((1 + k) ** 0.55 / 0.3)
        for k, x in enumerate(noise(tx, 3, (4,)))
    ]
    want = papers.adam(
        START["vector"],
        clips.noisy(lambda k, x: x, lambda k: np.asarray(draws[k]), eta=0.3),
        3,
        learning_rate=RATE,
    )
    p = {"a": jnp.asarray(START["vector"])}
    full = chain(tx, adamx.adam(RATE))
    state = full.init(p)
    for theta in want:
        updates, state = full.update(p, state, p)
        p = optax.apply_updates(p, updates)
        np.testing.assert_allclose(p["a"], theta, rtol=1e-6)


def test_noise_differs_by_seed_step_and_leaf_and_in_nothing_else():
    one, two = noise(GradientNoise(seed=1), 2)
    (other,) = noise(GradientNoise(seed=2))
    different = [one["a"], one["b"], two["a"], two["b"], other["a"]]
    for i, x in enumerate(different):
        for y in different[:i]:
            assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.02
    assert_equal(noise(GradientNoise(seed=1), 2), [one, two])


def test_noise_does_not_depend_on_the_devices():
    tx = GradientNoise()
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    p = {"w": jnp.zeros((16, 5))}
    placed = jax.device_put(p, jax.NamedSharding(mesh, P("d")))
    step = jax.jit(lambda p: tx.update(p, tx.init(p), p)[0])
    # the draws are the same; their scaling may round otherwise on another layout
    for a, b in zip(step(placed)["w"], step(p)["w"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_noise_inside_shard_map_is_another_one_on_each_device():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    tx = GradientNoise(axis_name="d")
    step = jax.shard_map(
        lambda p: tx.update(p, tx.init(p), p)[0],
        mesh=mesh,
        in_specs=P("d"),
        out_specs=P("d"),
    )
    rows = np.asarray(step(jnp.zeros((8, 50))))
    assert len(np.unique(rows)) == rows.size
