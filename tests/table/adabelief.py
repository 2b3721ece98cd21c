"""The row of adabelief."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    EpsBeforeCorrection,
    LearningRate,
    Precondition,
    RootPlusEps,
    SquaredDeviation,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adabelief",
        (
            Variant("", in_optax=optax.adabelief),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2, "eps_root": 1e-3},
                in_optax=functools.partial(
                    optax.adabelief, b1=0.6, b2=0.9, eps=1e-2, eps_root=1e-3
                ),
            ),
        ),
        hypers=("b1", "b2", "eps", "eps_root"),
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
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adabelief of the authors' code": (
        lambda: adamx.adabelief(RATE, eps=EpsBeforeCorrection(1e-16), rectify=True),
        papers.adabelief_rectified,
        {},
    ),
}
