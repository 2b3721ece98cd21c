"""Every optimizer follows its paper's pseudo-code to 1e-12 in 64-bit arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx import chain
from adamx.parts import (
    LearningRate,
)
from tests.support.agreement import STEPS, assert_follows, followed, from_disk, wanted
from tests.support.optimized import SAME_BITS
from tests.support.trees import grads, params
from tests.table.cases import OPTIMIZERS, RATE, SCHEDULES, cases, law_cases

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
EVERY = pytest.mark.parametrize("case", cases(optimizers=OPTIMIZERS))
ALL_FORMS = pytest.mark.parametrize("case", cases())
FIRST = pytest.mark.parametrize("case", cases(first_only=True))


@EVERY
def test_an_optimizer_follows_its_paper(case):
    assert_follows(case.build, wanted(case.oracle, learning_rate=RATE))


@ALL_FORMS
def test_an_optimizer_follows_its_paper_under_schedules(case):
    schedules = case.schedules
    assert_follows(lambda: case.build(**schedules), wanted(case.oracle, **schedules))


@FIRST
def test_a_scheduled_rate_alone(case):
    rate = SCHEDULES["learning_rate"]
    assert_follows(lambda: case.build(rate), wanted(case.oracle, learning_rate=rate))


@FIRST
def test_scale_by_is_the_optimizer_without_rate_and_decay(case):
    plain = {n: 0.0 for n in ("weight_decay",) if n in case.optimizer.hypers}
    assert_follows(
        lambda: chain(case.scale_by(), LearningRate(RATE)),
        wanted(case.oracle, learning_rate=RATE, **plain),
    )


@FIRST
def test_hyperparameters_as_arrays(case):
    """float64 arrays: the running weight loses nothing that the constant has."""
    names = [n for n in case.hypers if n not in ("momentum", "dampening")]
    values = {n: 0.25 if n != "threshold" else 4.5 for n in names}
    assert_follows(
        lambda: case.build(**{n: jnp.asarray(v) for n, v in values.items()}),
        wanted(case.oracle, learning_rate=RATE, **values),
    )


@FIRST
def test_restored_from_constants_into_arrays(case):
    """The weights of the averages are filled from the count."""
    names = [n for n in case.hypers if n in ("b1", "b2", "decay")]
    values = {"b1": 0.8, "b2": 0.95, "decay": 0.7}
    values = {n: values[n] for n in names}
    legs = []

    def make():
        legs.append(len(legs))
        if len(legs) <= 2:  # `init`, then the first leg as it is traced
            return case.build(**values)
        return case.build(**{n: jnp.asarray(v) for n, v in values.items()})

    assert_follows(
        make, wanted(case.oracle, learning_rate=RATE, **values), restore=adamx.restore
    )


@FIRST
def test_restored_from_arrays_into_constants(case):
    names = [n for n in case.hypers if n in ("b1", "b2", "decay")]
    values = {"b1": 0.8, "b2": 0.95, "decay": 0.7}
    values = {n: values[n] for n in names}
    tx = case.build(**{n: jnp.asarray(v) for n, v in values.items()})
    _, state = tx.update(
        grads(0, "float64"), tx.init(params("float64")), params("float64")
    )
    constant = case.build(**values)
    restored = adamx.restore(constant, state, params("float64"))
    fresh = constant.init(params("float64"))
    assert jax.tree.structure(restored) == jax.tree.structure(fresh)
    one, _ = tx.update(grads(1, "float64"), state, params("float64"))
    two, _ = constant.update(grads(1, "float64"), restored, params("float64"))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_msvag_is_restored_from_an_array_into_a_constant(x64):
    """Both its weights are known from the count."""
    tx, p = adamx.msvag(RATE, jnp.asarray(0.8)), params("float64")
    _, state = tx.update(grads(0, "float64"), tx.init(p), p)
    restored = adamx.restore(adamx.msvag(RATE, 0.8), state, p)
    assert set(restored.slots) == {"mu", "nu"}
    one, _ = tx.update(grads(1, "float64"), state, p)
    two, _ = adamx.msvag(RATE, 0.8).update(grads(1, "float64"), restored, p)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@SAME_BITS
@pytest.mark.parametrize("case", law_cases())
def test_a_float32_run_stays_with_the_float64_run(case):
    """The largest difference over 200 steps on the same gradients.

    In units of the last place of the largest update of the leaf. Measured on the six
    basic ones: 0.6 (sgd) to 3.7 (adam). `float32_bound` of the row is 4 unless it says
    why its slots gather a rounding at every step.
    """
    steps, unit = 200, np.finfo(np.float32).eps
    random = np.random.default_rng(7)
    size = 10.0 ** random.uniform(-3, 1, (1000,))
    gradients = size * (0.3 + random.standard_normal((steps, 1000)))
    gradients[20:25] = 0.0
    gradients = jnp.asarray(gradients, jnp.float32)
    point = jnp.asarray(random.standard_normal(1000), jnp.float32)
    tx = case.build()

    def run(dtype):
        p = {"matrix": point.astype(dtype)}

        def step(state, g):
            updates, state = tx.update({"matrix": g.astype(dtype)}, state, p)
            return state, updates["matrix"]

        return np.asarray(jax.lax.scan(step, tx.init(p), gradients)[1], np.float64)

    single, double = run(jnp.float32), run(jnp.float64)
    scale = np.max(np.abs(double), axis=1, keepdims=True)
    error = np.max(np.abs(single - double) / np.where(scale, scale, 1)) / unit
    assert error <= case.optimizer.float32_bound, error


@FIRST
def test_an_interrupted_run_is_the_run(case):
    """The restart of `assert_follows` changes nothing, bit for bit."""
    whole = followed(case.build, restore=lambda tx, state, params: state)
    again = followed(case.build, restore=from_disk)
    for name, thetas in whole.items():
        assert len(thetas) == STEPS
        np.testing.assert_array_equal(thetas, again[name])
