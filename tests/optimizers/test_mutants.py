"""A test of the tests: wrong optimizers, each of which the oracle check must catch.

Every mutant goes through `assert_follows`, the very check that the members pass in
test_follow_papers.py, against the oracle of the member that it pretends to be.
"""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    EpsBeforeCorrection,
    EpsInsideRoot,
    Identity,
    IndependentWeightDecay,
    LearningRate,
    Momentum,
    Precondition,
    Rectified,
    RootPlusEps,
    WeightDecay,
    square,
)
from tests import papers
from tests.support.agreement import assert_follows, from_disk, wanted
from tests.table.cases import RATE, SCHEDULES

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]

B1, B2, EPS = 0.9, 0.999, 1e-8


def adam_of(mu=None, nu=None, eps=EPS, then=()):
    """Adam of its parts, one of them exchanged for a wrong one."""
    mu = Debiased(Ema(B1)) if mu is None else mu
    nu = Debiased(Ema(B2, of=square, name="nu")) if nu is None else nu
    return chain(Precondition(mu, by=RootPlusEps(nu, eps)), *then, LearningRate(RATE))


def counting_from(start):
    """Adam whose first step believes to be step `start + 1`."""
    right = adamx.adam(RATE)

    def init(params):
        return right.init(params)._replace(count=jnp.asarray(start, jnp.int32))

    return optax.GradientTransformation(init, right.update)


def correction_of_the_next_step():
    """Adam that corrects by 1 - b^(t+1); the state counts as it should."""
    right = adamx.adam(RATE)

    def update(g, state, params=None):
        ahead = state._replace(count=state.count + 1)
        updates, after = right.update(g, ahead, params)
        return updates, after._replace(count=state.count + 1)

    return optax.GradientTransformation(right.init, update)


def frozen_on_a_zero_gradient(right):
    def update(g, state, params=None):
        updates, after = right.update(g, state, params)
        zero = jnp.all(jnp.stack([jnp.all(x == 0) for x in jax.tree.leaves(g)]))
        return updates, jax.tree.map(lambda a, b: jnp.where(zero, a, b), state, after)

    return optax.GradientTransformation(right.init, update)


def silent_on_a_zero_gradient(right):
    """The state goes on, but the momentum does not move the parameters."""

    def update(g, state, params=None):
        updates, after = right.update(g, state, params)
        zero = jnp.all(jnp.stack([jnp.all(x == 0) for x in jax.tree.leaves(g)]))
        return jax.tree.map(lambda u: jnp.where(zero, 0.0, u), updates), after

    return optax.GradientTransformation(right.init, update)


def radam_of(**keywords):
    nu = Debiased(Ema(B2, of=square, name="nu"))
    by = Rectified(RootPlusEps(nu, EPS), **keywords)
    return chain(Precondition(Debiased(Ema(B1)), by=by), LearningRate(RATE))


def adamw_of(*parts):
    return chain(adamx.scale_by_adam(), *parts)


DECAY = 0.1
ADAMW = (papers.adamw, {"weight_decay": DECAY})
NESTEROV = (papers.sgd, {"momentum": 0.9, "nesterov": True})
PLAIN_ADAM = (papers.adam, {})
SCHEDULED_RATE = {"learning_rate": SCHEDULES["learning_rate"]}

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "no correction": (
        PLAIN_ADAM,
        lambda: adam_of(Ema(B1), Ema(B2, of=square, name="nu")),
    ),
    "first moment not corrected": (PLAIN_ADAM, lambda: adam_of(mu=Ema(B1))),
    "second moment not corrected": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Ema(B2, of=square, name="nu")),
    ),
    "correction one step late": (PLAIN_ADAM, lambda: counting_from(1)),
    "correction of the next step": (PLAIN_ADAM, correction_of_the_next_step),
    "b2 := b1": (PLAIN_ADAM, lambda: adamx.adam(RATE, B1, B1)),
    "b1 := b2": (PLAIN_ADAM, lambda: adamx.adam(RATE, B2, B2)),
    "update x 1.5": (PLAIN_ADAM, lambda: chain(adamx.adam(RATE), optax.scale(1.5))),
    "update x (1 + 1e-9)": (PLAIN_ADAM, lambda: adamx.adam(RATE * (1 + 1e-9))),
    "eps inside the root": (PLAIN_ADAM, lambda: adam_of(eps=EpsInsideRoot(EPS))),
    "eps before the correction": (
        PLAIN_ADAM,
        lambda: adam_of(eps=EpsBeforeCorrection(EPS)),
    ),
    "eps dropped": (PLAIN_ADAM, lambda: adam_of(eps=0.0)),
    "gradient instead of the moment": (PLAIN_ADAM, lambda: adam_of(mu=Identity())),
    "moment of the square of the wrong decay": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(0.9991, of=square, name="nu"))),
    ),
    "gradient read for the square": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(B2, name="nu"))),
    ),
    "coefficients of the first average swapped": (
        PLAIN_ADAM,
        lambda: adam_of(mu=Debiased(Ema(1 - B1))),
    ),
    "coefficients of the second average swapped": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(1 - B2, of=square, name="nu"))),
    ),
    "sum instead of an average": (PLAIN_ADAM, lambda: adam_of(mu=Momentum(B1))),
    "decay not decoupled": (ADAMW, lambda: chain(WeightDecay(DECAY), adam_of())),
    "decay dropped": (ADAMW, adam_of),
    "decay of the wrong sign": (
        ADAMW,
        lambda: adamw_of(optax.add_decayed_weights(-DECAY), LearningRate(RATE)),
    ),
    "decay x rate twice": (
        ADAMW,
        lambda: adamw_of(WeightDecay(DECAY * RATE), LearningRate(RATE)),
    ),
    "decay x rate never": (
        ADAMW,
        lambda: adamw_of(LearningRate(RATE), IndependentWeightDecay(DECAY)),
    ),
    "state not advanced on a zero gradient": (
        PLAIN_ADAM,
        lambda: frozen_on_a_zero_gradient(adamx.adam(RATE)),
    ),
    "no movement on a zero gradient": (
        PLAIN_ADAM,
        lambda: silent_on_a_zero_gradient(adamx.adam(RATE)),
    ),
    "Nesterov dropped": (NESTEROV, lambda: adamx.sgd(RATE, 0.9)),
    "momentum dropped": (NESTEROV, lambda: adamx.sgd(RATE)),
    "dampening of the first step": (
        (papers.sgd, {"momentum": 0.9, "dampening": 0.1}),
        lambda: chain(Ema(0.9, name="momentum"), LearningRate(RATE)),
    ),
    "never rectified": (
        (papers.radam, {}),
        lambda: radam_of(threshold=1e9),
    ),
    "rectified one step early": ((papers.radam, {}), lambda: radam_of(threshold=4.0)),
    "rectified one step late": ((papers.radam, {}), lambda: radam_of(threshold=6.0)),
    "rectifier dropped": ((papers.radam, {}), adam_of),
    "rmsprop corrected": (
        (papers.rmsprop, {}),
        lambda: chain(
            Precondition(
                Identity(),
                by=RootPlusEps(Debiased(Ema(0.9, of=square, name="nu")), EPS),
            ),
            LearningRate(RATE),
        ),
    ),
    "rmsprop with eps inside": (
        (papers.rmsprop, {}),
        lambda: adamx.rmsprop(RATE, eps=EpsInsideRoot(EPS)),
    ),
    "rmsprop not centred": (
        (papers.rmsprop, {"centered": True}),
        lambda: adamx.rmsprop(RATE),
    ),
    "momentum after a changing rate": (
        (papers.rmsprop, {"momentum": 0.8, **SCHEDULED_RATE}),
        lambda: chain(
            adamx.scale_by_rmsprop(),
            LearningRate(SCHEDULES["learning_rate"]),
            Momentum(0.8),
        ),
    ),
    "schedule counted from one": (
        (papers.adam, SCHEDULED_RATE),
        lambda: adamx.adam(lambda k: SCHEDULES["learning_rate"](k + 1)),
    ),
    "adagrad with eps inside": (
        (papers.adagrad, {}),
        lambda: adamx.adagrad(RATE, eps=EpsInsideRoot(1e-10)),
    ),
    "adagrad from another start": (
        (papers.adagrad, {}),
        lambda: adamx.adagrad(RATE, initial_accumulator=0.1),
    ),
    "adagrad that forgets": (
        (papers.adagrad, {}),
        lambda: adamx.rmsprop(RATE, decay=0.999),
    ),
}


def check(pretended, make, restore=from_disk):
    oracle, keywords = pretended
    expected = wanted(oracle, **{"learning_rate": RATE, **keywords})
    assert_follows(make, expected, restore=restore)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name):
    pretended, make = MUTANTS[name]
    with pytest.raises(AssertionError):
        check(pretended, make)


# What a wrong checkpoint would bring back: (tx, saved state, params) -> state.
WRONG_RESTORES = {
    "count forgotten": lambda tx, state, params: state._replace(
        count=jnp.zeros((), jnp.int32)
    ),
    "count one ahead": lambda tx, state, params: state._replace(count=state.count + 1),
    "state forgotten": lambda tx, state, params: tx.init(params),
    "moments swapped": lambda tx, state, params: state._replace(
        slots={"mu": state.slots["nu"], "nu": state.slots["mu"]}
    ),
    "moments forgotten": lambda tx, state, params: tx.init(params)._replace(
        count=state.count
    ),
}


@pytest.mark.parametrize("name", WRONG_RESTORES)
def test_a_wrong_restart_is_caught(name):
    wrong = WRONG_RESTORES[name]

    def restore(tx, state, params):
        return wrong(tx, from_disk(tx, state, params), params)

    with pytest.raises(AssertionError):
        check(PLAIN_ADAM, lambda: adamx.adam(RATE), restore)


@pytest.mark.parametrize(
    ("pretended", "make"),
    [
        (PLAIN_ADAM, adam_of),
        (PLAIN_ADAM, lambda: counting_from(0)),
        (ADAMW, lambda: adamw_of(WeightDecay(DECAY), LearningRate(RATE))),
        (NESTEROV, lambda: adamx.sgd(RATE, 0.9, nesterov=True)),
        ((papers.radam, {}), radam_of),
    ],
    ids=["adam", "adam counted", "adamw", "nesterov", "radam"],
)
def test_what_the_mutants_were_made_from_passes(pretended, make):
    check(pretended, make)
