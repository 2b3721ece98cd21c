"""The row of adabound."""

import adamx
from adamx import chain
from adamx.optimizers import DynamicBound
from adamx.parts import (
    Debiased,
    Ema,
    EpsBeforeCorrection,
    LearningRate,
    Negate,
    RootPlusEps,
    square,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adabound",
        (
            Variant(""),
            Variant("closing", {"gamma": 0.5, "final_lr": 0.01, "eps": 1e-3}),
        ),
        hypers=("b1", "b2", "eps", "final_lr", "gamma"),
        slots=("mu", "nu"),
        exempt={
            "test_scale_by_is_the_optimizer_without_rate_and_decay": (
                "the rate stands inside the bounds; COMPOSED has the form without it"
            )
        },
    ),
)


def root(eps):
    return RootPlusEps(Debiased(Ema(0.999, square, "nu")), eps)


def bounds(moment, eps, **keywords):
    rate = DynamicBound(moment, by=root(eps), learning_rate=RATE, **keywords)
    return chain(rate, Negate())


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adabound of the corrected mean": (
        (papers.adabound, {}),
        lambda: bounds(Debiased(Ema(0.9)), EpsBeforeCorrection(1e-8)),
    ),
    "adabound without the correction of the mean": (
        (papers.adabound, {}),
        lambda: bounds(Ema(0.9), EpsBeforeCorrection(1e-8)),
    ),
    "adabound with open bounds": (
        (papers.adabound, {"gamma": 0.5}),
        lambda: adamx.adabound(RATE, gamma=1e-9),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adabound as its paper's listing": (
        lambda: chain(
            DynamicBound(
                Ema(0.9),
                by=RootPlusEps(Ema(0.99, square, "nu"), 0.0),
                learning_rate=RATE,
                gamma=1 - 0.99,
            ),
            LearningRate(lambda k: (k + 1.0) ** -0.5),
        ),
        papers.adabound_paper,
        {"b2": 0.99},
    ),
    "adabound with the bounds in units of the rate": (
        lambda: chain(adamx.scale_by_adabound(final_lr=0.1 / RATE), LearningRate(RATE)),
        papers.adabound,
        {},
    ),
}
