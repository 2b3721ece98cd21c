"""Where to evaluate: `eval_params` through any nesting, and what averages refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx


def tree():
    return {"w": jnp.arange(1.0, 7.0).reshape(3, 2), "b": jnp.ones(2)}


NESTINGS = {
    "plain": lambda tx: tx,
    "in optax.chain": lambda tx: optax.chain(optax.clip(1e3), tx),
    "tunable": lambda tx: adamx.tunable(tx, "learning_rate"),
    "in a chain with a foreign part": lambda tx: adamx.chain(optax.clip(1e3), tx),
    "in MultiSteps": lambda tx: optax.MultiSteps(tx, 1),
}


@pytest.mark.parametrize("nesting", NESTINGS)
def test_eval_params_through_any_nesting(nesting):
    params = tree()
    tx = adamx.schedule_free_sgd(0.1)
    grads = jax.tree.map(jnp.cos, params)
    wrapped = NESTINGS[nesting](tx)

    def two(tx):
        p, state = params, tx.init(params)
        for _ in range(2):
            updates, state = tx.update(grads, state, p)
            p = optax.apply_updates(p, updates)
        return p, jax.jit(adamx.eval_params)(state, p)

    for a, b in zip(*map(jax.tree.leaves, (two(tx), two(wrapped))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    moved, evaluated = two(tx)
    assert np.max(np.abs(moved["w"] - evaluated["w"])) > 1e-3


@pytest.mark.parametrize(
    "make",
    [
        lambda tx: optax.masked(tx, {"w": True, "b": False}),
        lambda tx: optax.partition(
            {"free": tx, "plain": optax.sgd(0.1)}, {"w": "free", "b": "plain"}
        ),
        lambda tx: adamx.Masked(tx, "w"),
    ],
    ids=["masked", "partition", "Masked"],
)
def test_eval_params_where_only_some_leaves_are_averaged(make):
    params, tx = tree(), adamx.schedule_free_sgd(0.1)
    grads = jax.tree.map(jnp.cos, params)
    wrapped = make(tx)
    state = wrapped.init(params)
    p = params
    for _ in range(2):
        updates, state = wrapped.update(grads, state, p)
        p = optax.apply_updates(p, updates)
    evaluated = adamx.eval_params(state, p)
    np.testing.assert_array_equal(evaluated["b"], p["b"])
    assert np.max(np.abs(evaluated["w"] - p["w"])) > 1e-3


def test_eval_params_of_an_optimizer_without_an_average_are_its_parameters():
    params = tree()
    state = adamx.adam().init(params)
    evaluated = adamx.eval_params(state, params)
    assert all(map(np.array_equal, *map(jax.tree.leaves, (evaluated, params))))


def test_two_averages_of_one_leaf_are_refused():
    params = tree()
    tx = adamx.param_ema(adamx.lookahead(adamx.adam()))
    with pytest.raises(ValueError, match=r"eval_params: one part must average a leaf"):
        adamx.eval_params(tx.init(params), params)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: adamx.lookahead(adamx.adam(), 0),
            "lookahead: `sync_period` must be",
        ),
        (lambda: adamx.gpa(adamx.adam(), 0.0), "gpa: `mu_y` must lie in"),
        (
            lambda: adamx.schedule_free_sgd(0.1, -1),
            "schedule_free_sgd: `warmup_steps` must be",
        ),
        (
            lambda: adamx.schedule_free_sgd(0.1, b1=0.0),
            "schedule_free_sgd: `b1` must lie",
        ),
        (
            lambda: adamx.schedule_free_radam(0.1, b2=lambda k: 0.9),
            "schedule_free_radam: `b2` must be a finite number, got the function",
        ),
        (
            lambda: adamx.schedule_free_radam(0.1, b2=1.0),
            "schedule_free_radam: `b2` must be a finite number, at least 0, below 1",
        ),
        (
            lambda: adamx.schedule_free_radam(0.1, threshold=3.9),
            "schedule_free_radam: `threshold` must be a finite number, at least 4, got",
        ),
        (lambda: adamx.param_ema(adamx.adam(), 1.0), "param_ema: `decay` must lie in"),
        (
            lambda: adamx.prodigy(estim_lr0=0.0),
            "prodigy: `estim_lr0` must be above 0",
        ),
        (lambda: adamx.sharpness_aware(jax.grad(jnp.sum), -1.0), "`rho` must be at"),
    ],
)
def test_a_wrong_argument_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_warm_up_has_ended_when_the_counter_saturates():
    """The step after the largest int32 is not a negative one."""
    tx, p = adamx.schedule_free_sgd(0.1, 10), tree()
    state = tx.init(p)._replace(count=jnp.asarray(np.iinfo(np.int32).max))
    updates, _ = tx.update(p, state, p)
    np.testing.assert_allclose(updates["w"], -0.1 * p["w"], rtol=1e-6)
