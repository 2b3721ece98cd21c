"""Directions, clips and noise: each against its paper, with Adam or Lion under it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx import chain
from adamx.optimizers import SpikeClip
from adamx.parts import (
    AdaptiveClip,
    Cautious,
    CautiousCount,
    CautiousMeanPlusEps,
    CautiousWeightDecay,
    Centralize,
    Clip,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByRms,
    ClipNormGrowth,
    Debiased,
    Ema,
    Grams,
    LearningRate,
    WeightDecay,
)
from tests import papers
from tests.papers import clips
from tests.support.agreement import (
    NOISE,
    SHAPES,
    SIZE,
    START,
    STEPS,
    assert_follows,
    on,
    slope,
    wanted,
)
from tests.support.trees import assert_close, grads, params
from tests.table.cases import RATE

DECAY = {"weight_decay": 0.1}


def rate():
    return LearningRate(RATE)


def adam_on(change):
    """Adam's oracle on gradients that were changed before."""
    return lambda theta, gradient, steps, **words: papers.adam(
        theta, change(gradient), steps, **words
    )


# name: (the transform, oracle, keywords of the oracle)
FORMS = {
    "cautious adamw": (
        lambda: adamx.cautious(adamx.adamw(RATE, **DECAY)),
        papers.cautious_adamw,
        DECAY,
    ),
    "cautious adamw by the paper's one line": (
        lambda: chain(
            Cautious(adamx.scale_by_adam(), CautiousMeanPlusEps(1e-8)),
            WeightDecay(0.1),
            rate(),
        ),
        papers.cautious_adamw_mean,
        DECAY,
    ),
    "cautious adam counted": (
        lambda: chain(Cautious(adamx.scale_by_adam(), CautiousCount()), rate()),
        papers.cautious_adamw_paper,
        {},
    ),
    "cautious lion": (
        lambda: chain(
            Cautious(adamx.scale_by_lion(), CautiousCount()), WeightDecay(0.1), rate()
        ),
        papers.cautious_lion,
        DECAY,
    ),
    "grams": (
        lambda: adamx.grams(adamx.adamw(RATE, **DECAY)),
        papers.grams_adamw,
        {"decay_after": False, **DECAY},
    ),
    "cautious decay": (
        lambda: chain(adamx.scale_by_adam(), CautiousWeightDecay(0.1), rate()),
        papers.adamw_cautious_decay,
        DECAY,
    ),
    "centralised": (
        lambda: chain(Centralize((1,)), adamx.adam(RATE)),
        adam_on(clips.centralised),
        {},
    ),
    "centralised with the output last": (
        lambda: chain(Centralize(), adamx.adam(RATE)),
        adam_on(lambda gradient: clips.centralised(gradient, axes=(0,))),
        {},
    ),
    "clipped": (
        lambda: chain(Clip(0.3), adamx.adam(RATE)),
        adam_on(lambda gradient: clips.clipped(gradient, 0.3)),
        {},
    ),
    "clipped by each norm": (
        lambda: chain(ClipByNorm(lambda k: 0.3 / (k + 1.0)), adamx.adam(RATE)),
        adam_on(lambda g: clips.clipped_per_tensor(g, lambda k: 0.3 / (k + 1.0))),
        {},
    ),
    "clipped by each root mean square": (
        lambda: chain(ClipByRms(0.3), adamx.adam(RATE)),
        adam_on(lambda gradient: clips.clipped_rms(gradient, 0.3)),
        {},
    ),
    "spikes clipped": (
        lambda: chain(SpikeClip(20.0, warmup=5), adamx.adam(RATE)),
        papers.adam_spike_clip,
        {"threshold": 20.0, "warmup": 5},
    ),
    "growth of the norm limited": (
        lambda: chain(adamx.scale_by_adam(), ClipNormGrowth(1.5, 1e-3), rate()),
        papers.adam_norm_growth_limited,
        {"limit": 1.5, "norm_eps": 1e-3},
    ),
}
PAPER = pytest.mark.oracle


@PAPER
@pytest.mark.parametrize("form", FORMS)
def test_it_follows_its_paper(form, x64):
    make, oracle, keywords = FORMS[form]
    assert_follows(make, wanted(oracle, learning_rate=RATE, **keywords))


@PAPER
@pytest.mark.parametrize("form", FORMS)
def test_adam_without_it_does_not(form, x64):
    """Each of them changes the trajectory that it is tested on."""
    _, oracle, keywords = FORMS[form]
    plain = (
        adamx.adamw(RATE, **DECAY) if "weight_decay" in keywords else adamx.adam(RATE)
    )
    with pytest.raises(AssertionError):
        assert_follows(lambda: plain, wanted(oracle, learning_rate=RATE, **keywords))


# name: (the form it pretends to be, the wrong transform)
MUTANTS = {
    "cautious of the step with its decay": (
        "cautious adamw",
        lambda: chain(Cautious(chain(adamx.scale_by_adam(), WeightDecay(0.1))), rate()),
    ),
    "cautious counted without the one": (
        "cautious adam counted",
        lambda: chain(Cautious(adamx.scale_by_adam()), rate()),
    ),
    "grams of the moment alone": (
        "grams",
        lambda: chain(Grams(Debiased(Ema(0.9))), WeightDecay(0.1), rate()),
    ),
    "decay that is not cautious": (
        "cautious decay",
        lambda: adamx.adamw(RATE, **DECAY),
    ),
    "centralised over the outputs": (
        "centralised",
        lambda: chain(Centralize((0,)), adamx.adam(RATE)),
    ),
    "clipped by the norm of all": (
        "clipped by each norm",
        lambda: chain(ClipByGlobalNorm(lambda k: 0.3 / (k + 1.0)), adamx.adam(RATE)),
    ),
    "spikes clipped from the start": (
        "spikes clipped",
        lambda: chain(SpikeClip(20.0, warmup=1), adamx.adam(RATE)),
    ),
    "spikes clipped too late": (
        "spikes clipped",
        lambda: chain(SpikeClip(20.0, warmup=6), adamx.adam(RATE)),
    ),
    "growth limited before the division": (
        "growth of the norm limited",
        lambda: chain(ClipNormGrowth(1.5, 1e-3), adamx.adam(RATE)),
    ),
}


@PAPER
@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name, x64):
    form, make = MUTANTS[name]
    _, oracle, keywords = FORMS[form]
    with pytest.raises(AssertionError):
        assert_follows(make, wanted(oracle, learning_rate=RATE, **keywords))


def adagc(**keywords):
    """The trajectory of the oracle, whose leaves are clipped together at first.

    The agreement's first gradient is zero: during the warm-up that leaves every usual
    norm at 0 and, as in the paper, everything is clipped to 0 after it.
    """
    theta = papers.adagc_adamw(
        [START[n] for n in SHAPES],
        lambda k, at: [
            slope(SIZE[n], x, NOISE[n][k], on(k))
            for n, x in zip(SHAPES, at, strict=True)
        ],
        STEPS,
        learning_rate=RATE,
        **keywords,
    )
    return dict(zip(SHAPES, theta, strict=True))


@PAPER
def test_adagc_with_a_zero_gradient_in_its_warm_up(x64):
    expected = adagc(warmup=25, lambda_abs=0.5)
    assert_follows(
        lambda: chain(AdaptiveClip(lambda_abs=0.5, warmup=25), adamx.adam(RATE)),
        expected,
    )


@PAPER
def test_adagc_by_the_usual_norm(monkeypatch, x64):
    monkeypatch.setattr("tests.support.agreement.ZERO", (40, 41))
    words = {"lambda_abs": 3.0, "lambda_rel": 1.1, "decay": 0.9}
    expected = adagc(warmup=10, **words, weight_decay=0.1)

    def of(warmup):
        return lambda: chain(
            AdaptiveClip(warmup=warmup, **words), adamx.adamw(RATE, **DECAY)
        )

    assert_follows(of(10), expected)
    for wrong in (9, 11):
        with pytest.raises(AssertionError):
            assert_follows(of(wrong), expected)


def test_cautious_and_grams_stand_before_decay_and_rate():
    assert adamx.cautious(adamx.adamw(0.1, weight_decay=0.2)) == chain(
        Cautious(adamx.scale_by_adam()), WeightDecay(0.2), LearningRate(0.1)
    )
    assert adamx.grams(adamx.lion(0.1)) == chain(
        Grams(adamx.scale_by_lion()), WeightDecay(1e-3), LearningRate(0.1)
    )
    coupled = chain(WeightDecay(0.2), adamx.adam(0.1))
    assert adamx.cautious(coupled) == chain(
        Cautious(chain(WeightDecay(0.2), adamx.scale_by_adam())), LearningRate(0.1)
    )


@pytest.mark.parametrize(
    ("tx", "message"),
    [
        (optax.adam(0.1), "cautious: `tx` must be a rule or a chain of rules"),
        (LearningRate(0.1), "must have a direction made of rules before its decay"),
        (
            chain(optax.scale_by_adam(), LearningRate(0.1)),
            "must have a direction made of rules before its decay",
        ),
    ],
)
def test_what_cannot_be_cautious_is_refused(tx, message):
    with pytest.raises(TypeError, match=message):
        adamx.cautious(tx)


def test_a_spike_clip_without_its_slot_is_refused():
    tx, p = chain(SpikeClip(), adamx.sgd(0.1)), params()
    with pytest.raises(ValueError, match="`slot` must be kept by a later part"):
        tx.update(grads(), tx.init(p), p)


# AdaGC's warm-up is by the norm of the whole tree, which a stack is one leaf of.
OPERATORS = {
    "cautious": lambda **where: Cautious(adamx.scale_by_adam(), **where),
    "centralised": lambda **where: Centralize(**where),
    "norm": lambda **where: ClipByNorm(0.1, **where),
    "adagc": lambda **where: AdaptiveClip(warmup=2, **where),
    "growth": lambda **where: ClipNormGrowth(1.01, **where),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_inside_shard_map_it_sees_the_whole_tensor(name):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    steps = [{"w": 2.0**k * grads(k)["dense"]["kernel"].T} for k in range(3)]

    def run(tx, *steps):
        state = tx.init(steps[0])
        for g in steps:
            updates, state = tx.update(g, state, steps[0])
        return updates

    whole = run(OPERATORS[name](), *steps)
    split = OPERATORS[name](axis_name="d")
    spec = {"w": P("d")}
    mapped = jax.shard_map(
        lambda *steps: run(split, *steps),
        mesh=mesh,
        in_specs=(spec,) * 3,
        out_specs=spec,
    )
    assert_close(
        jax.tree.map(np.asarray, jax.jit(mapped)(*steps)),
        jax.tree.map(np.asarray, whole),
    )
    assert not np.array_equal(whole["w"], steps[-1]["w"])


@pytest.mark.parametrize("name", sorted(OPERATORS.keys() - {"adagc"}))
def test_a_stack_of_layers_is_that_many_tensors(name):
    one = [grads(k)["dense"]["kernel"] for k in range(3)]
    two = [3.0 * grads(k + 10)["dense"]["kernel"] for k in range(3)]
    stacks = [{"w": jnp.stack(pair)} for pair in zip(one, two, strict=True)]
    tx = adamx.stacked(OPERATORS[name](), lambda path, leaf: True)
    alone = OPERATORS[name]()

    def run(tx, steps):
        state = tx.init(steps[0])
        for g in steps:
            updates, state = tx.update(g, state, steps[0])
        return updates

    together = run(tx, stacks)["w"]
    for i, steps in enumerate((one, two)):
        assert_close({"w": together[i]}, run(alone, [{"w": g} for g in steps]))


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_comes_of_nothing(name):
    zero = jax.tree.map(jnp.zeros_like, params())
    tx = OPERATORS[name]()

    def moved(zero):
        state = tx.init(zero)
        for _ in range(2):
            updates, state = tx.update(zero, state, zero)
        return sum(jnp.sum(u) for u in jax.tree.leaves(updates))

    value, slopes = jax.value_and_grad(moved)(zero)
    assert value == 0
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(slopes))
