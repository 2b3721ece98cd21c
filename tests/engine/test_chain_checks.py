"""Chains that cannot be meant are refused when they are built, the others are not.

What a chain means is known from its rules: `-η u` turns an ascent into a step, λθ must
be added before it, and an average of the parameters reads the step after it. A
transformation of Optax may do any of this, so that nothing is refused after it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import adam, chain, scale_by_adam
from adamx.parts import (
    CautiousWeightDecay,
    Clip,
    Ema,
    IndependentWeightDecay,
    LearningRate,
    LookaheadWeights,
    Masked,
    Momentum,
    Negate,
    Not,
    ParamEma,
    PrimalAveraging,
    ProximalWeightDecay,
    ScheduleFree,
    Sign,
    WeightDecay,
)
from tests.support.counting import counted
from tests.support.error_messages import PARAMS, assert_told
from tests.table.cases import OPTIMIZERS

ALL = pytest.mark.parametrize("row", OPTIMIZERS, ids=lambda row: row.name)
TWICE = "chain: the learning rate must stand there once, got "
LATE = (
    "chain: a part that makes the direction must stand before the learning rate, got "
)
EARLY = "chain: a part that takes a finished step must stand after the learning rate, "
UNFINISHED = " must be given a finished step, got the direction of "
UNSCALED = "Put LearningRate(...) before it, or pass a whole optimizer such as adam"
GROWS = "It would let the parameters grow. Put it before the rate, or use Independent"


class Rate(adamx.Rule):
    """A rate of a user's own."""

    place = "step"

    def apply(self, update, slots, ctx):
        return -0.1 * update, slots


class Halved(adamx.Rule):
    """A rule of a user's own that says nothing of its side of the rate."""

    def apply(self, update, slots, ctx):
        return update / 2, slots


class Scaled(adamx.Rule):
    """One that says it."""

    takes = "direction"

    def apply(self, update, slots, ctx):
        return update / (1 + jnp.abs(update)), slots


REFUSED = {
    "two rates": (
        lambda: chain(adam(1e-3), LearningRate(1e-3)),
        TWICE + "LearningRate(0.001) after LearningRate(0.001), which would turn",
        "Leave one of them out; to scale a step use optax.scale(0.5).",
    ),
    "two optimizers": (
        lambda: chain(adam(0.1), adamx.adamw(0.1)),
        LATE + "Precondition(",
        "Its result would lose the rate, or the sign.",
    ),
    "a rate and its sign": (
        lambda: chain(adam(0.1), Negate()),
        TWICE + "Negate() after LearningRate(0.1)",
        "Leave one of them out",
    ),
    "a rate inside a part": (
        lambda: chain(adamx.rprop(0.1), LearningRate(0.1)),
        TWICE + "LearningRate(0.1) after RpropDirection(",
        "Leave one of them out",
    ),
    "a rate of one's own": (
        lambda: chain(Rate(), LearningRate(0.1)),
        TWICE + "LearningRate(0.1) after Rate()",
        "Leave one of them out",
    ),
    "a rate behind a clip": (
        lambda: chain(adam(0.1), Clip(1.0), Halved(), LearningRate(0.1)),
        TWICE + "LearningRate(0.1) after LearningRate(0.1)",
        "Leave one of them out",
    ),
    "a rate inside a wrapper": (
        lambda: chain(adamx.tunable(adam(0.1), "learning_rate"), LearningRate(0.1)),
        TWICE,
        "Leave one of them out",
    ),
    "a rate inside a stored optimizer": (
        lambda: chain(
            adamx.store(adam(0.1), mu=adamx.storage.Cast(jnp.bfloat16)), Rate()
        ),
        TWICE,
        "Leave one of them out",
    ),
    "two rates on the leaves of one mask": (
        lambda: chain(Masked(adam(0.1), "kernel"), LearningRate(0.1)),
        TWICE,
        "Leave one of them out",
    ),
    "two rates under one mask": (
        lambda: chain(Masked(adam(0.1), "kernel"), Masked(LearningRate(0.1), "kernel")),
        TWICE,
        "Leave one of them out",
    ),
    "decay after the rate": (
        lambda: chain(adam(0.1), WeightDecay(0.1)),
        LATE + "WeightDecay(0.1) after LearningRate(0.1).",
        GROWS,
    ),
    "cautious decay after the rate": (
        lambda: chain(adam(0.1), CautiousWeightDecay(0.1)),
        LATE + "CautiousWeightDecay(0.1) after LearningRate(0.1).",
        GROWS,
    ),
    "decay of some leaves after the rate": (
        lambda: chain(adam(0.1), Masked(WeightDecay(0.1), "kernel")),
        LATE + "WeightDecay(0.1) after LearningRate(0.1).",
        GROWS,
    ),
    "a direction after the rate": (
        lambda: chain(adamx.sgd(0.1), scale_by_adam()),
        LATE + "Precondition(",
        "Its result would lose the rate, or the sign.",
    ),
    "a sign after the rate": (
        lambda: chain(adamx.sgd(0.1), Sign()),
        LATE + "Sign() after LearningRate(0.1).",
        "Its result would lose the rate, or the sign.",
    ),
    "a direction of one's own after the rate": (
        lambda: chain(adamx.sgd(0.1), Scaled()),
        LATE + "Scaled() after LearningRate(0.1).",
        "Its result would lose the rate, or the sign.",
    ),
    "a direction after an average": (
        lambda: chain(optax.adam(0.1), ParamEma(0.9), Sign()),
        LATE + "Sign() after ParamEma(0.9).",
        "Its result would lose the rate, or the sign.",
    ),
    "an independent decay before the rate": (
        lambda: chain(IndependentWeightDecay(0.1), LearningRate(0.1)),
        EARLY + "got IndependentWeightDecay(0.1) before LearningRate(0.1).",
        "Put it after the rate.",
    ),
    "an average before the rate": (
        lambda: chain(ParamEma(0.9), adamx.sgd(0.1)),
        EARLY + "got ParamEma(0.9) before LearningRate(0.1).",
        "Put it after the rate.",
    ),
    **{
        f"{type(last).__name__} without a rate": (
            lambda last=last: chain(scale_by_adam(), last),
            f"chain: {last!r}{UNFINISHED}Precondition(",
            UNSCALED,
        )
        for last in (
            IndependentWeightDecay(0.1),
            ProximalWeightDecay(0.1, learning_rate=0.1),
            LookaheadWeights(),
            ParamEma(0.9),
            PrimalAveraging(0.7, 0.9),
            ScheduleFree(0.1),
            adamx.stochastic_rounding(),
            adamx.split_master(),
        )
    },
    "lookahead around a direction": (
        lambda: adamx.lookahead(scale_by_adam()),
        f"chain: LookaheadWeights(){UNFINISHED}Precondition(",
        UNSCALED,
    ),
    "schedule-free around a momentum": (
        lambda: adamx.schedule_free(Momentum(0.9), 0.1),
        f"chain: ScheduleFree(0.1){UNFINISHED}Momentum(0.9).",
        UNSCALED,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name):
    assert_told(*REFUSED[name])


MEANT = {
    "nothing": lambda: chain(),
    "a direction": lambda: chain(scale_by_adam()),
    "a decay": lambda: chain(WeightDecay(0.1)),
    "L2 and an optimizer": lambda: chain(WeightDecay(0.1), adam(0.1)),
    "an average alone": lambda: chain(ParamEma(0.9)),
    "an independent decay and an average": lambda: chain(
        IndependentWeightDecay(0.1), ParamEma(0.9)
    ),
    "momentum after the rate": lambda: chain(
        adamx.scale_by_rmsprop(), LearningRate(0.1), Momentum(0.9)
    ),
    "a clip of the step": lambda: chain(adam(0.1), Clip(0.1)),
    "a rule of one's own after the rate": lambda: chain(adam(0.1), Halved()),
    "a rate of one's own": lambda: chain(scale_by_adam(), Rate(), ParamEma(0.9)),
    "decays after the rate": lambda: chain(
        scale_by_adam(),
        LearningRate(0.1),
        IndependentWeightDecay(0.1),
        ProximalWeightDecay(0.1, learning_rate=0.1),
    ),
    "averages in turn": lambda: adamx.param_ema(adamx.lookahead(adam(0.1))),
    "an average of some leaves": lambda: chain(adam(0.1), Masked(ParamEma(0.9), "w")),
    "an optimizer for each mask": lambda: chain(
        Masked(adam(0.1), "w"), Masked(adamx.sgd(0.1), Not("w"))
    ),
    "directions of two masks, one rate": lambda: chain(
        Masked(scale_by_adam(), "w"),
        Masked(Sign(), Not("w")),
        LearningRate(0.1),
        ParamEma(),
    ),
    "a rate of Optax": lambda: chain(scale_by_adam(), optax.scale(-0.1), ParamEma(0.9)),
    "a rate of Optax for a decay": lambda: chain(
        scale_by_adam(), optax.scale_by_learning_rate(0.1), IndependentWeightDecay(0.1)
    ),
    "an optimizer of Optax": lambda: adamx.lookahead(optax.adam(0.1)),
    "a sign of Optax": lambda: chain(adam(0.1), optax.scale(-1.0), WeightDecay(0.1)),
    "in optax.chain": lambda: optax.chain(
        chain(scale_by_adam()), WeightDecay(0.1), optax.scale(-0.1)
    ),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_may_be_meant_is_not_refused(name):
    tx = MEANT[name]()
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert jax.tree.structure(updates) == jax.tree.structure(PARAMS)


@ALL
def test_an_optimizer_has_one_rate(row):
    """Each contains its rate: a second one and a decay after it are refused."""
    tx = row.build()
    for again in (LearningRate(0.1), WeightDecay(0.1), Sign()):
        with pytest.raises(adamx.AdamxError, match=r"chain: .* (after|before) "):
            chain(tx, again)
    chain(tx, IndependentWeightDecay(0.1), Clip(1.0), adamx.stochastic_rounding())


@pytest.mark.parametrize(
    "row", [row for row in OPTIMIZERS if row.has_scale_by], ids=lambda row: row.name
)
def test_a_direction_has_none(row):
    """It needs a rate before what takes a step, and a decay may stand beside it."""
    direction = row.scale_by()
    with pytest.raises(adamx.AdamxError, match="must be given a finished step"):
        chain(direction, ParamEma(0.9))
    chain(WeightDecay(0.1), direction, WeightDecay(0.1), LearningRate(0.1), ParamEma())
    optax.chain(chain(direction), optax.scale(-1e-3))


@pytest.mark.parametrize("wrap", [adamx.cautious, adamx.grams])
@pytest.mark.parametrize(
    "nothing",
    [
        lambda: LearningRate(0.1),
        lambda: chain(),
        lambda: WeightDecay(0.1),
    ],
    ids=["rate", "empty", "decay"],
)
def test_nothing_to_compare_with_the_gradient_is_refused(wrap, nothing):
    name = wrap.__name__
    message = f"{name}: `tx` must have a direction made of rules before its decay"
    with pytest.raises(TypeError, match=message):
        wrap(nothing())


@pytest.mark.parametrize("part", [adamx.parts.Cautious, adamx.parts.Grams])
def test_a_step_is_not_compared_with_the_gradient(part):
    """A step opposes the gradient everywhere: no element would be kept."""
    message = f"{part.__name__}: `part` must return a direction, without a learning"
    with pytest.raises(adamx.AdamxError, match=message):
        part(adam(0.1))


def test_a_wrong_side_is_no_word():
    with pytest.raises(adamx.AdamxError, match="Wrong: `takes` must be one of"):
        type("Wrong", (Halved,), {"takes": "gradient"})


# ---- two external parts of one name --------------------------------------------


def names(tx):
    state: Any = tx.init(PARAMS)
    return list(state.inner)


def test_external_parts_of_one_name_are_numbered():
    """Two traces, one after the other: each keeps its own state."""
    tx = chain(optax.trace(0.9), optax.trace(0.5), optax.scale(-0.1))
    assert names(tx) == ["trace", "trace_2", "scale"]
    want = optax.chain(optax.trace(0.9), optax.trace(0.5), optax.scale(-0.1))
    state, theirs = tx.init(PARAMS), want.init(PARAMS)
    for _ in range(3):
        ours, state = tx.update(PARAMS, state)
        expected, theirs = want.update(PARAMS, theirs)
        jax.tree.map(np.testing.assert_array_equal, ours, expected)


def test_numbers_pass_over_names_that_are_taken():
    two = chain(optax.trace(0.9), optax.trace(0.8))
    tx = chain(("trace_3", optax.trace(0.7)), two, two)
    assert names(tx) == ["trace_3", "trace", "trace_2", "trace_4", "trace_2_2"]
    named = chain(("a", optax.trace(0.9)), ("a", optax.trace(0.8)), Ema(0.9))
    assert names(named) == ["a", "a_2"]
    assert chain(named) == named


def test_a_chain_around_the_same_external_part_is_not_traced_again():
    """`optax.scale` makes new functions at each call, which nothing can compare."""
    half, rate = optax.scale(0.5), jnp.array(0.1)
    step = jax.jit(lambda tx, g: tx.update(g, tx.init(PARAMS), PARAMS)[0])
    step(chain(adam(rate), half), PARAMS)
    with counted() as count:
        step(chain(adam(jnp.array(0.2)), half), PARAMS)
    assert count.traces == 0
    assert chain(adam(rate), half) == chain(adam(rate), half)
    assert chain(adam(rate), optax.scale(0.5)) != chain(adam(rate), half)
