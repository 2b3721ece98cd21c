"""A decay part in the place of the number `weight_decay=`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import Masked, chain
from adamx.optimizers import LarsTrustRatio, SkipFirstStep
from adamx.parts import (
    CautiousWeightDecay,
    IndependentWeightDecay,
    LearningRate,
    Not,
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


def test_muown_decays_inside_its_step_by_parts_before_the_rate(x64):
    """The length that it keeps is that after the decay."""
    p = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0], [0.3, 0.2]])}
    g = jax.tree.map(jnp.cos, p)

    def stepped(decay):
        tx = adamx.muown(RATE, weight_decay=decay)
        updates, state = tx.update(g, tx.init(p), p)
        after = p["w"] + updates["w"]
        kept = state.slots["magnitude"]["w"][0]
        np.testing.assert_allclose(jnp.linalg.norm(after, axis=0), kept, rtol=1e-12)
        return np.asarray(updates["w"])

    none, number = stepped(0.0), stepped(0.3)
    np.testing.assert_allclose(stepped(WeightDecay(0.3)), number, rtol=1e-12)
    shrinks = none * p["w"] <= 0
    assert 0 < shrinks.sum() < shrinks.size
    want = none - RATE * 0.3 * np.where(shrinks, p["w"], 0)
    np.testing.assert_allclose(stepped(CautiousWeightDecay(0.3)), want, rtol=1e-12)
    masked = stepped(CautiousWeightDecay(0.3, mask=lambda path, leaf: False))
    np.testing.assert_array_equal(masked, none)
    sentence = r"muown: `weight_decay` must act before the rate, got Independent"
    with pytest.raises(ValueError, match=sentence):
        adamx.muown(weight_decay=IndependentWeightDecay(0.1))


def test_the_other_leaves_of_a_matrix_optimizer_take_a_decay_part():
    for name in ("adamh", "muonh", "muown"):
        for part, place in ((CAUTIOUS, -1), (AFTER[0], 1)):
            parts = getattr(adamx, name)(RATE, adam_weight_decay=part).parts
            at = next(i for i, p in enumerate(parts) if getattr(p, "part", 0) == part)
            (of_rate,) = (
                i
                for i, p in enumerate(parts)
                if isinstance(getattr(p, "part", p), LearningRate)
            )
            assert at - of_rate == place
            assert isinstance(parts[at].mask, Not)


def test_mars_takes_decay_parts_for_all_leaves_and_for_each_kind():
    direction, rate = adamx.mars(RATE).parts
    for part in BEFORE:
        assert adamx.mars(RATE, weight_decay=part) == chain(direction, part, rate)
    for part in AFTER:
        assert adamx.mars(RATE, weight_decay=part) == chain(direction, rate, part)
    given = {"weight_decay": CAUTIOUS, "adam_weight_decay": AFTER[0]}
    _, _, hidden, _, others = adamx.mars(RATE, mars_mask="w", **given).parts
    assert (hidden.part, others.part) == (CAUTIOUS, AFTER[0])
    with pytest.raises(ValueError, match="`adam_weight_decay` must come with `mars_m"):
        adamx.mars(RATE, adam_weight_decay=CAUTIOUS)


MUONS = ("muon", "adamuon", "normuon", "dion", "dion2")


@pytest.mark.parametrize("name", MUONS)
def test_a_decay_part_of_muons_kind_acts_on_its_own_leaves(name):
    build = getattr(adamx, name)
    both = {"weight_decay": 0.5, "adam_weight_decay": 0.2}
    direction, rest, hidden, others, rate = build(RATE, **both).parts
    assert isinstance(hidden, Masked), hidden
    assert (hidden.part, others.part) == (WeightDecay(0.5), WeightDecay(0.2))
    assert others.mask == Not(hidden.mask)
    for part in BEFORE:
        got = build(RATE, **both | {"weight_decay": part})
        assert got == chain(direction, rest, Masked(part, hidden.mask), others, rate)
        got = build(RATE, **both | {"adam_weight_decay": part})
        assert got == chain(direction, rest, hidden, Masked(part, others.mask), rate)
    for part in AFTER:
        got = build(RATE, **both | {"weight_decay": part})
        assert got == chain(direction, rest, others, rate, Masked(part, hidden.mask))
    got = build(RATE, adam_learning_rate=0.1, weight_decay=AFTER[0]).parts[2:]
    assert [type(p.part) for p in got] == [LearningRate] * 2 + [IndependentWeightDecay]


# those whose decay is inside a rule, with what is scaled there
INSIDE = {
    "stable_adamw": adamx.stable_adamw,
    "adamp": adamx.adamp,
    "lars": functools.partial(adamx.lars, trust_coefficient=0.5),
    "lars of the paper": functools.partial(adamx.lars, norm_of_sum=False),
    "prodigy": functools.partial(adamx.prodigy, estim_lr0=0.1),
    "dadapt_adamw": functools.partial(adamx.dadapt_adamw, estim_lr0=0.1),
    "schedule_free_radam": functools.partial(
        adamx.schedule_free_radam, silent_sgd_phase=False
    ),
}
ALONE = ("stable_adamw", "adamp", "prodigy", "dadapt_adamw", "schedule_free_radam")


def moved(name, decay):
    """The parameters after two steps, not compiled: there are many of them."""
    tx = INSIDE[name](RATE, weight_decay=decay)
    p = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.ones(2)}
    state = tx.init(p)
    with jax.disable_jit():
        for _ in range(2):
            updates, state = tx.update(jax.tree.map(jnp.cos, p), state, p)
            p = optax.apply_updates(p, updates)
    return p


def one_step(name, decay, g, p):
    tx = INSIDE[name](RATE, weight_decay=decay)
    with jax.disable_jit():
        return np.asarray(tx.update(g, tx.init(p), p)[0]["w"])


@pytest.mark.parametrize("name", INSIDE)
def test_the_part_of_the_number_is_the_number_inside_a_rule(x64, name):
    number, part = moved(name, 0.3), moved(name, WeightDecay(0.3))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), part, number
    )
    masked, none = moved(name, WeightDecay(0.3, mask="w")), moved(name, 0.0)
    assert np.all(np.asarray(number["w"]) != np.asarray(none["w"]))
    if name in ("stable_adamw", "adamp", "lars", "lars of the paper"):
        np.testing.assert_allclose(masked["w"], number["w"], rtol=1e-12)
        np.testing.assert_allclose(masked["b"], none["b"], rtol=1e-12)


@pytest.mark.parametrize("name", ALONE)
def test_cautious_decay_inside_a_rule_is_that_of_the_entries_that_agree(x64, name):
    p = {"w": jnp.asarray([1.0, -2.0, 0.5, 3.0])}
    g = {"w": jnp.asarray([0.3, 0.7, -0.1, 0.2])}
    agree = np.asarray(p["w"] * g["w"]) >= 0
    number, none = (one_step(name, decay, g, p) for decay in (0.3, 0.0))
    assert np.all(number != none)
    cautious = one_step(name, CautiousWeightDecay(0.3), g, p)
    np.testing.assert_allclose(cautious, np.where(agree, number, none), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in INSIDE if "free" not in name])
def test_an_independent_decay_is_after_the_rate_of_a_rule_with_its_own(x64, name):
    p = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]])}
    want = one_step(name, 0.0, p, p) - 0.3 * np.asarray(p["w"])
    got = one_step(name, IndependentWeightDecay(0.3), p, p)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_decay_of_the_phase_that_is_not_silent_is_rectified_too():
    part = CautiousWeightDecay(0.3, mask="w")
    tx = INSIDE["schedule_free_radam"](RATE, weight_decay=part)
    (got,) = (p for p in tx.parts if isinstance(p, CautiousWeightDecay))
    assert got.mask == part.mask
    number = INSIDE["schedule_free_radam"](RATE, weight_decay=0.3)
    (want,) = (p for p in number.parts if isinstance(p, WeightDecay))
    assert got.weight_decay == want.weight_decay != 0.3


def test_a_decay_after_the_rate_is_refused_inside_a_rule():
    sentence = r"LarsTrustRatio: `weight_decay` must be .* got"
    with pytest.raises(TypeError, match=sentence):
        LarsTrustRatio(IndependentWeightDecay(0.1))
    with pytest.raises(TypeError, match=r"muon: `adam_weight_decay` must be a number"):
        adamx.muon(RATE, adam_weight_decay=LearningRate(0.1))
    sentence = r"prodigy: `weight_decay` must be a number.* got LearningRate"
    with pytest.raises(TypeError, match=sentence):
        adamx.prodigy(weight_decay=LearningRate(0.1))
