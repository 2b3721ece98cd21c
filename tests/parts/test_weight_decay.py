"""A decay part in the place of the number `weight_decay=`."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import chain
from adamx.optimizers import SkipFirstStep
from adamx.parts import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    LearningRate,
    ProximalWeightDecay,
    WeightDecay,
    WeightDecayAfterStep,
)
from tests.table.cases import RATE

CAUTIOUS = CautiousWeightDecay(0.1, mask="kernel")
SCHEDULE = adamx.schedule(
    optax.linear_schedule, init_value=0.1, end_value=0.0, transition_steps=9
)
BEFORE = (CAUTIOUS, CautiousWeightDecay(SCHEDULE), WeightDecay(SCHEDULE, r"kernel"))
AFTER = (
    IndependentWeightDecay(SCHEDULE),
    ProximalWeightDecay(0.1, learning_rate=RATE),
    WeightDecayAfterStep(0.1, learning_rate=RATE),
)
# those that end with the decay and the rate
PLAIN = ("adamw", "adamaxw", "nadamw", "lion", "adapnm", "adan", "adam_atan2")
PLAIN += ("adam_mini", "ademamix", "simplified_ademamix", "came", "galore", "fira")
PLAIN += ("apollo", "apollo_mini", "laprop", "signum", "spam", "sophia")


@pytest.mark.parametrize("name", PLAIN)
def test_a_decay_part_stands_in_the_place_of_the_number(name):
    build = getattr(adamx, name)
    *direction, decay, rate = build(RATE, weight_decay=0.5).parts
    assert (decay, rate) == (WeightDecay(0.5), LearningRate(RATE))
    for part in BEFORE:
        want = chain(*direction, part, rate)
        assert build(RATE, weight_decay=part) == want
    for part in AFTER:
        want = chain(*direction, rate, part)
        assert build(RATE, weight_decay=part) == want


def test_a_decay_part_of_lamb_and_novograd_is_inside_their_norm():
    for name, place in (("lamb", 1), ("novograd", 1)):
        build = getattr(adamx, name)
        parts = build(RATE, weight_decay=CAUTIOUS).parts
        assert parts[place] == CAUTIOUS
        with pytest.raises(ValueError, match=r"IndependentWeightDecay.* finished step"):
            build(RATE, weight_decay=IndependentWeightDecay(0.1))


def test_adopt_does_not_decay_in_its_first_step():
    assert SkipFirstStep(CAUTIOUS) in adamx.adopt(RATE, weight_decay=CAUTIOUS).parts


def test_cautious_decay_in_adamw_is_its_formula(x64):
    p = {"kernel": jnp.array([1.0, -2.0, 3.0]), "bias": jnp.array([1.0])}
    g = {"kernel": jnp.array([0.5, 0.5, -0.5]), "bias": jnp.array([0.5])}
    tx = adamx.adamw(RATE, eps=0.0, weight_decay=CAUTIOUS)
    updates, _ = tx.update(g, tx.init(p), p)
    # the first direction of Adam is the sign of the gradient
    want = -RATE * np.array([1 + 0.1 * 1.0, 1.0, -1.0])
    np.testing.assert_allclose(updates["kernel"], want, rtol=1e-12)
    np.testing.assert_allclose(updates["bias"], [-RATE], rtol=1e-12)


def test_a_part_that_is_no_decay_is_refused():
    sentence = r"adamw: `weight_decay` must be a number.* got LearningRate\(0.1\)"
    with pytest.raises(TypeError, match=sentence):
        adamx.adamw(RATE, weight_decay=LearningRate(0.1))


def test_a_mask_beside_a_decay_part_is_refused():
    sentence = r"adamw: `mask` must be given to the part .*=CautiousWeightDecay\(\.\.\."
    with pytest.raises(ValueError, match=sentence):
        adamx.adamw(RATE, weight_decay=CAUTIOUS, mask="bias")


def test_an_optimizer_with_a_decay_of_its_own_takes_a_number_only():
    with pytest.raises(TypeError, match=r"prodigy: `weight_decay` must be a real"):
        adamx.prodigy(weight_decay=CAUTIOUS)
