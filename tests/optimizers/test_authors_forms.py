"""The forms of the authors' code: what chooses them is checked when it is built.

Their arithmetic follows the recorded runs: oracles/test_tensor_against_authors.py and
test_follow_papers.py.
"""

import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx.optimizers import FiraResidual
from adamx.parts import Ema, Rectified, RootPlusEps, WeightDecayAfterStep
from tests.support.error_messages import assert_told

# name: (the mistake, the beginning of the sentence, its remedy)
MISTAKES = {
    "radam of an unknown kind": (
        lambda: adamx.radam(1e-3, degenerate="sgd"),
        "radam: `degenerate` must be 'momentum' or 'skip', got 'sgd'.",
        "'skip' takes no step while ρ_t is at most the threshold.",
    ),
    "radam that would never step": (
        lambda: adamx.radam(1e-3, b2=0.5, degenerate="skip"),
        "radam: `b2` must be above 0.667 where degenerate='skip' and threshold=5.0, "
        "got 0.5.",
        "pass a larger b2.",
    ),
    "shampoo's correction of a sum": (
        lambda: adamx.shampoo(1e-3, bias_correction=True),
        "shampoo: `bias_correction` must come with `b2`, got b2=None.",
        "pass for example b2=0.999, or leave it out.",
    ),
    "mars with a rate for no leaf": (
        lambda: adamx.mars(adam_learning_rate=1e-3),
        "mars: `adam_learning_rate` must come with `mars_mask`, got 0.001 and no mask.",
        "mars_mask=lambda path, leaf: leaf.ndim == 2.",
    ),
    "mars with a decay for no leaf": (
        lambda: adamx.mars(adam_weight_decay=0.0),
        "mars: `adam_weight_decay` must come with `mars_mask`, got 0.0 and no mask.",
        "mars_mask=lambda path, leaf: leaf.ndim == 2.",
    ),
    "mars with a schedule for no leaf": (
        lambda: adamx.scale_by_mars(adam_b1=lambda k: 0.9),
        "mars: `adam_b1` must come with `mars_mask`, got",
        "mars_mask=lambda path, leaf: leaf.ndim == 2.",
    ),
    "fira's limiter before a correction that is none": (
        lambda: FiraResidual(Ema(0.9), released=True),
        "FiraResidual: `part` must be Adam's direction where released=True, got",
        "pass scale_by_adam(...).",
    ),
    "a decay after the step below zero": (
        lambda: WeightDecayAfterStep(-0.1),
        "WeightDecayAfterStep: `weight_decay` must be at least 0, got -0.1.",
        "It pulls the parameters towards zero; 0.01 is usual.",
    ),
    "a rate of the decay below zero": (
        lambda: WeightDecayAfterStep(0.1, learning_rate=-0.1),
        "WeightDecayAfterStep: `learning_rate` must be at least 0, got -0.1.",
        "It is the rate of the step before it.",
    ),
    "a rectifier over no average": (
        lambda: Rectified(RootPlusEps(WeightDecayAfterStep(0.1)), skip=True),
        "Rectified: `denominator.moment` must be an average with a decay",
        "Only a weighted average has a zero start to correct.",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name):
    assert_told(*MISTAKES[name])


def test_radam_that_skips_moves_nothing_until_the_variance_is_known():
    """At β₂ = .999 ρ_t exceeds 5 from step 6 on: Liu et al., section 4."""
    tx = adamx.radam(0.1, degenerate="skip")
    params = jnp.ones(3)
    state = tx.init(params)
    moved = []
    for _ in range(7):
        updates, state = tx.update(jnp.ones(3), state, params)
        moved.append(bool(jnp.any(updates != 0)))
    assert moved == [False] * 5 + [True] * 2


@pytest.mark.parametrize("keywords", [{}, {"mars_mask": "w"}], ids=["all", "some"])
def test_mars_inside_inject_hyperparams(keywords):
    """It makes an array of every number, the defaults too."""
    tx = optax.inject_hyperparams(adamx.mars)(learning_rate=0.1, **keywords)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    direct = adamx.mars(0.1, **keywords)
    injected, _ = tx.update(params, tx.init(params), params)
    wanted, _ = direct.update(params, direct.init(params), params)
    for name in params:
        assert jnp.allclose(injected[name], wanted[name], rtol=1e-6)


def test_the_default_rates_of_muon_are_one_and_can_be_two():
    """Optax's default is one rate for all; Jordan's Adam has 3e-4 beside 0.02."""
    params = {"hidden": jnp.eye(2), "bias": jnp.zeros(2)}
    grads = {"hidden": jnp.eye(2), "bias": jnp.ones(2)}

    def step_of_the_bias(tx):
        return tx.update(grads, tx.init(params), params)[0]["bias"]

    one, two = adamx.muon(), adamx.muon(adam_learning_rate=3e-4)
    assert jnp.allclose(step_of_the_bias(one), -0.02)
    assert jnp.allclose(step_of_the_bias(two), -3e-4)
