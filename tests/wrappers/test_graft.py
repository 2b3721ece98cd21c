"""Grafting: two optimizers against the paper, alone, stacked and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import chain
from adamx.parts import EpsOutsideRoot, LearningRate
from tests import papers
from tests.support.agreement import SHAPES, assert_follows, wanted
from tests.support.trees import assert_close, grads, params
from tests.table.cases import RATE


def shampoo_at(rate):
    return adamx.shampoo(rate, 1e-4)


def test_it_follows_the_paper_where_both_have_slots_of_one_name(x64):
    """Adam's direction at the length of RMSProp, with a schedule of its own for β₂."""
    schedule = lambda k: 0.9 + 0.05 / (k + 1)  # noqa: E731
    for b2 in (0.999, schedule):
        rmsprop = adamx.scale_by_rmsprop(0.9, eps=EpsOutsideRoot(1e-8))
        adam = adamx.scale_by_adam(b2=b2)
        assert_follows(
            lambda r=rmsprop, a=adam: chain(
                adamx.graft(magnitude=r, direction=a), LearningRate(RATE)
            ),
            wanted(papers.rmsprop_on_adam, learning_rate=RATE, b2=b2),
        )


def test_it_follows_the_paper_of_shampoo_with_whole_optimizers(x64):
    """The rate of the direction does not matter."""
    expected = wanted_of_axes(papers.sgd_on_shampoo, learning_rate=RATE)
    assert_follows(
        lambda: adamx.graft(magnitude=adamx.sgd(RATE), direction=shampoo_at(7.0)),
        expected,
    )


def test_it_follows_distributed_shampoo_from_its_first_root_on(x64):
    """Before step 5 the step is Adam's; roots are taken at 5, 6, 9, 12, ..."""
    shampoo = adamx.scale_by_shampoo(
        1e-2,
        b2=0.95,
        bias_correction=True,
        precondition_frequency=3,
        start_preconditioning_step=5,
    )
    adam = adamx.scale_by_adam(0.0, 0.95)
    assert_follows(
        lambda: chain(
            adamx.graft(magnitude=adam, direction=shampoo, start=5), LearningRate(RATE)
        ),
        wanted_of_axes(papers.adam_on_shampoo, learning_rate=RATE),
    )


def wanted_of_axes(oracle, **keywords):
    """As `wanted`, a scalar being a vector of one entry."""

    def of_an_axis(theta, gradient, steps, **words):
        shape = np.shape(theta)
        path = oracle(
            np.atleast_1d(theta),
            lambda k, at: np.reshape(gradient(k, at.reshape(shape)), at.shape),
            steps,
            **words,
        )
        return path.reshape(steps, *shape)

    assert () in SHAPES.values()
    return wanted(of_an_axis, **keywords)


def test_one_optimizer_twice_is_itself(x64):
    alone, p = adamx.scale_by_adam(), params("float64")
    twice = adamx.graft(magnitude=alone, direction=adamx.scale_by_adam())
    state, single = twice.init(p), alone.init(p)
    for k in range(3):
        g = grads(k, "float64")
        got, state = twice.update(g, state, p)
        want, single = alone.update(g, single, p)
        assert_close(got, want)
    assert set(state.slots) == {"mu", "nu", "magnitude_mu", "magnitude_nu"}


def test_stacked_layers_are_grafted_one_by_one(x64):
    tx = adamx.graft(magnitude=adamx.sgd(RATE), direction=shampoo_at(1.0))
    stack = adamx.stacked(tx, lambda path, leaf: True)
    g = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)))
    got, _ = stack.update(g, stack.init(g), g)
    for layer, one in zip(got, g, strict=True):
        want, _ = tx.update(one, tx.init(one), one)
        np.testing.assert_allclose(layer, want, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_has_the_length_of_the_magnitude(dtype):
    p, g = params(dtype), grads(0, dtype)
    tx = adamx.graft(magnitude=adamx.adam(RATE), direction=adamx.lion(RATE))
    updates, _ = jax.jit(tx.update)(g, tx.init(p), p)
    wanted, _ = adamx.adam(RATE).update(g, adamx.adam(RATE).init(p), p)
    for got, want in zip(*map(jax.tree.leaves, (updates, wanted)), strict=True):
        assert got.dtype == dtype
        lengths = (np.linalg.norm(np.asarray(x, np.float64)) for x in (got, want))
        np.testing.assert_allclose(*lengths, rtol=4 * float(jnp.finfo(dtype).eps))


def test_a_gradient_of_zero_moves_nothing():
    tx = adamx.graft(magnitude=adamx.sgd(RATE), direction=shampoo_at(1.0))
    zero = {"w": jnp.zeros((2, 2))}
    updates, _ = tx.update(zero, tx.init(zero), zero)
    assert not np.any(updates["w"])


def test_one_rate_and_what_is_no_rule_are_refused():
    sentence = r"Graft: both parts must have .* got one in `magnitude` only"
    with pytest.raises(ValueError, match=sentence):
        adamx.graft(magnitude=adamx.adam(RATE), direction=adamx.scale_by_lion())
    with pytest.raises(ValueError, match=r"`start` must be a whole .* least 1, got 0"):
        adamx.graft(magnitude=adamx.adam(1), direction=adamx.lion(1), start=0)
    with pytest.raises(TypeError, match=r"graft: `direction` must be a rule"):
        adamx.graft(magnitude=adamx.adam(RATE), direction=optax.sgd(RATE))
