"""Rows of the table."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Centered,
    Debiased,
    Ema,
    EpsBeforeCorrection,
    LearningRate,
    Precondition,
    RootPlusEps,
    SquaredDeviation,
    square,
)
from tests import papers
from tests.table.row import RATE, Member, Variant


def optax_yogi_from_zero(learning_rate):
    """Optax starts m where it starts v; at 0 the two agree."""
    return optax.chain(
        optax.scale_by_yogi(initial_accumulator_value=0.0),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Member(
        "adabelief",
        (
            Variant("", twin=optax.adabelief),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2, "eps_root": 1e-3},
                twin=functools.partial(
                    optax.adabelief, b1=0.6, b2=0.9, eps=1e-2, eps_root=1e-3
                ),
            ),
        ),
        hypers=("b1", "b2", "eps", "eps_root"),
        slots=("mu", "nu"),
    ),
    Member(
        # v moves by small steps, and is rounded at each: measured 10.7 from 0.1.
        "yogi",
        (
            Variant(""),
            Variant(
                "from-zero", {"initial_accumulator": 0.0}, twin=optax_yogi_from_zero
            ),
            Variant("start", {"initial_accumulator": 0.1, "b2": 0.9}),
            Variant(
                "paper",
                {"bias_correction": False, "initial_accumulator": 0.0},
                oracle="yogi_paper",
                oracle_keywords={"initial_accumulator": 0.0},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        float32_bound=12.0,
    ),
    Member(
        "msvag",
        (Variant(""), Variant("quick", {"beta": 0.5})),
        hypers=("beta",),
        slots=("mu", "nu"),
    ),
)


def adam_of(nu, eps=1e-8):
    moment = Debiased(Ema(0.9))
    return chain(Precondition(moment, by=RootPlusEps(nu, eps)), LearningRate(RATE))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adabelief surprised by the last mean": (
        (papers.adabelief, {}),
        lambda: chain(
            Precondition(
                Debiased(Ema(0.9)),
                by=RootPlusEps(
                    Debiased(Ema(0.999, lambda g, s: (g / 0.9) ** 2, "nu")), 1e-16
                ),
            ),
            LearningRate(RATE),
        ),
    ),
    "adabelief without the eps in its average": (
        (papers.adabelief, {"eps_root": 1e-4}),
        lambda: adam_of(Debiased(Ema(0.999, SquaredDeviation("mu"), "nu")), 1e-16),
    ),
    "yogi with an average": (
        (papers.yogi, {"initial_accumulator": 0.0}),
        lambda: adam_of(Debiased(Ema(0.999, square, "nu")), 1e-3),
    ),
    "yogi from zero": (
        (papers.yogi, {}),
        lambda: adamx.yogi(RATE, initial_accumulator=0.0),
    ),
    "yogi with its first moment started too": (
        (papers.yogi, {}),
        lambda: optax.yogi(RATE),
    ),
    "msvag that divides by the deviation": (
        (papers.msvag, {}),
        lambda: adam_of(Centered(Ema(0.9, square, "nu"), Ema(0.9, name="mean"))),
    ),
    "msvag without the variance": (
        (papers.msvag, {}),
        lambda: chain(Debiased(Ema(0.9)), LearningRate(RATE)),
    ),
}

# Published forms that are a part exchanged, each in one line.
COMPOSED = {
    "adabelief of the authors' code": (
        lambda: adamx.adabelief(RATE, eps=EpsBeforeCorrection(1e-16), rectify=True),
        papers.adabelief_rectified,
        {},
    ),
    "yogi of TensorFlow": (
        lambda: adamx.yogi(RATE, eps=EpsBeforeCorrection(1e-3)),
        papers.yogi_official,
        {},
    ),
}
