"""`optax.inject_hyperparams` of every public optimizer, with nothing but a rate.

It makes an array of every number, so the results differ from those of constants by
the rounding of float32. What is no hyperparameter (steps, masks, functions) stays.
"""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import optimizers
from tests.table.cases import few

RATE = 0.05
PARAMS = {
    "dense": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3),
    "bias": jnp.array([0.5, -0.25, 1.0]),
}


HESSIAN = jax.tree.map(lambda p: 1.0 + jnp.abs(p), PARAMS)  # for those that ask


def gradient(k):
    """Of full rank, so that the eigenvectors of its products are determined."""
    draw = np.random.default_rng(k).normal
    return jax.tree.map(lambda p: jnp.asarray(draw(size=p.shape), p.dtype), PARAMS)


def takes(function):
    return inspect.signature(function).parameters


def arguments(name):
    """A rate, and for a wrapper what it goes around."""
    known = takes(getattr(optimizers, name))
    around = {"tx": adamx.sgd(RATE)} if "tx" in known else {}
    rate = {"learning_rate": RATE} if "learning_rate" in known else {}
    return around | rate


def two_steps(tx):
    p, state, updates = PARAMS, tx.init(PARAMS), {}
    for k in range(2):
        updates, state = jax.jit(tx.update)(gradient(k), state, p, hessian=HESSIAN)
        p = optax.apply_updates(p, updates)
    return updates, state


def assert_near(got, want, share):
    for a, b in zip(*map(jax.tree.leaves, (got, want)), strict=True):
        np.testing.assert_allclose(a, b, rtol=share, atol=share * np.max(np.abs(b)))


# By how much a decay next to 1 changes as an array: 1 - β in float32 is off by up to
# 2⁻²⁵ / (1 - β), and both steps and their roots follow.
COARSE = {
    "came": 1e-3,  # β₃ = .9999
    "adopt": 1e-3,  # β₂ = .9999
}


SCALE_BY = [name for name in optimizers.__all__ if name.startswith("scale_by_")]
WHOLE_OPTIMIZERS = [name for name in optimizers.__all__ if name not in SCALE_BY]


@pytest.mark.parametrize("name", few(WHOLE_OPTIMIZERS, 22))
def test_it_is_the_optimizer_itself(name):
    function, given = getattr(optimizers, name), arguments(name)
    got, state = two_steps(optax.inject_hyperparams(function)(**given))
    assert_near(got, two_steps(function(**given))[0], COARSE.get(name, 1e-4))
    if "learning_rate" in given:
        kept: Any = state
        assert kept.hyperparams["learning_rate"] == jnp.float32(RATE)


@pytest.mark.parametrize("name", SCALE_BY)
def test_a_direction_keeps_its_shapes(name):
    tx = optax.inject_hyperparams(getattr(optimizers, name))(**arguments(name))
    state = tx.init(PARAMS)
    update = functools.partial(tx.update, hessian=HESSIAN)
    updates, after = jax.eval_shape(update, gradient(0), state, PARAMS)
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, PARAMS)
    assert jax.tree.structure(after) == jax.tree.structure(state)


WHOLE = {
    "sgd": {"learning_rate": 1, "momentum": 0.9, "nesterov": True},
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0},
    "adam": {"learning_rate": 1, "b1": 0},
    "schedule_free_radam": {"learning_rate": 1, "b2": 0.99},
    "muon": {"learning_rate": 1e-3, "ns_steps": 3},
    "sophia": {"learning_rate": 1e-3, "update_interval": 1},
    "lookahead": {"tx": adamx.sgd(0.1), "sync_period": 2},
    "shampoo": {"learning_rate": 1e-3, "exponent": -0.5},
    "apollo": {"learning_rate": 1e-3, "rank": 2, "growth": 1.5},
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_and_options(name):
    """A whole number is a real one where that is asked for, else an option."""
    function, given = getattr(optimizers, name), WHOLE[name]
    injected = optax.inject_hyperparams(function)(**given)
    assert_near(two_steps(injected)[0], two_steps(function(**given))[0], 1e-4)


MASKS = {
    "of the parameters": lambda p: jax.tree.map(lambda x: x.ndim > 1, p),
    "of path and leaf": lambda path, leaf: leaf.ndim > 1,
    "a regex": "dense",
    "a tree": {"dense": True, "bias": False},
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("by_place", [False, True], ids=["keyword", "place"])
def test_a_mask_is_no_schedule(mask, by_place):
    given = {"weight_decay": 0.5, "mask": mask}
    inject = optax.inject_hyperparams(adamx.adamw)
    tx = inject(RATE, **given) if by_place else inject(learning_rate=RATE, **given)
    want = adamx.adamw(RATE, weight_decay=0.5, mask=MASKS["a tree"])
    assert_near(two_steps(tx)[0], two_steps(want)[0], 1e-4)


def test_a_mask_of_adamc_and_a_function_of_lamb():
    wants = {
        "adamc": {"max_learning_rate": 0.1, "normalized": MASKS["of path and leaf"]},
        "lamb": {"phi": lambda norm: jnp.minimum(norm, 0.5), "weight_decay": 0.1},
        "adam_mini": {"blocks": adamx.optimizers.one_block},
    }
    for name, words in wants.items():
        function = getattr(optimizers, name)
        tx = optax.inject_hyperparams(function)(learning_rate=RATE, **words)
        want = function(learning_rate=RATE, **words)
        assert_near(two_steps(tx)[0], two_steps(want)[0], 1e-4)


def test_static_args_may_name_what_is_fixed_anyway():
    static = ("mask", "ns_steps")
    tx = optax.inject_hyperparams(adamx.muon, static_args=static)(RATE, mask="dense")
    assert_near(two_steps(tx)[0], two_steps(adamx.muon(RATE, mask="dense"))[0], 1e-4)


def test_a_schedule_stays_a_schedule():
    halved = optax.exponential_decay(RATE, 1, 0.5)
    tx = optax.inject_hyperparams(adamx.adam)(halved)
    updates, state = two_steps(tx)
    assert_near(updates, two_steps(adamx.adam(halved))[0], 1e-4)
    kept: Any = state
    assert kept.hyperparams["learning_rate"] == jnp.float32(RATE / 2)


def test_the_signature_is_that_of_the_function():
    known = takes(adamx.adamw)
    assert list(known)[:2] == ["learning_rate", "b1"]
    assert known["weight_decay"].kind is inspect.Parameter.KEYWORD_ONLY
    with pytest.raises(TypeError, match=r"adam: at most 6 arguments .* place, got 7"):
        adamx.adam(0.1, 0.9, 0.999, 1e-8, 0.0, None, 1.0)  # pyright: ignore
    bound = inspect.signature(adamx.muon).bind(0.1)
    assert repr(bound.arguments["ns_steps"]) == "5"
    assert adamx.muon(*bound.args, **bound.kwargs) == adamx.muon(0.1)
    copy = inspect.signature(adamx.muon).replace(return_annotation=int)
    assert copy.bind(0.1).arguments["ns_steps"] == 5


@pytest.mark.parametrize("array", [jnp.array(1), np.array(1), jnp.array(1, jnp.uint8)])
def test_a_scalar_array_of_integers_is_a_real_number(array):
    """As Optax makes one of every whole number."""
    updates, _ = two_steps(adamx.sgd(array))
    assert_near(updates, two_steps(adamx.sgd(jnp.array(1.0)))[0], 1e-7)


def test_a_dampening_that_is_an_array_goes_with_nesterov():
    """Its value is not known; the formula is that of `Momentum`, 0 is none."""
    tx = adamx.sgd(RATE, 0.9, nesterov=True, dampening=jnp.array(0.0))
    want = adamx.sgd(RATE, 0.9, nesterov=True)
    assert_near(two_steps(tx)[0], two_steps(want)[0], 1e-6)
    with pytest.raises(adamx.AdamxError, match="and no dampening, got"):
        adamx.sgd(RATE, 0.9, nesterov=True, dampening=0.5)
