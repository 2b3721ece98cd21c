"""The rows of nadam and nadamw."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    LearningRate,
    LookAhead,
    Precondition,
    RootPlusEps,
    WeightDecay,
    square,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

TORCH = {"momentum_decay": 4e-3}

ROWS = (
    Optimizer(
        "nadam",
        (
            Variant("", in_optax=optax.nadam),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2},
                in_optax=functools.partial(optax.nadam, b1=0.6, b2=0.9, eps=1e-2),
            ),
            Variant("torch", TORCH, oracle="nadam_torch"),
            Variant(
                "torch-fast",
                {"momentum_decay": 0.1, "b1": 0.8, "b2": 0.99},
                oracle="nadam_torch",
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
    Optimizer(
        "nadamw",
        (
            Variant("", in_optax=optax.nadamw),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99},
                in_optax=functools.partial(optax.nadamw, weight_decay=0.3, b2=0.99),
            ),
            Variant("torch", {**TORCH, "weight_decay": 0.1}, oracle="nadam_torch"),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
)


def with_moment(moment, *parts):
    root = RootPlusEps(Debiased(Ema(0.999, square, "nu")), 1e-8)
    return chain(Precondition(moment, by=root), *parts, LearningRate(RATE))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "nadam with one correction for both terms": (
        (papers.nadam, {}),
        lambda: with_moment(Debiased(LookAhead(Ema(0.9)))),
    ),
    "nadam without correction": (
        (papers.nadam, {}),
        lambda: with_moment(LookAhead(Ema(0.9))),
    ),
    "nadam that does not look ahead": ((papers.nadam, {}), lambda: adamx.adam(RATE)),
    "torch's nadam without its schedule": (
        (papers.nadam_torch, {}),
        lambda: adamx.nadam(RATE),
    ),
    "nadamw in the form of AlgoPerf": (
        (papers.nadamw, {"weight_decay": 0.1}),
        lambda: with_moment(Debiased(LookAhead(Ema(0.9))), WeightDecay(0.1)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "nadamw of AlgoPerf": (
        lambda: with_moment(Debiased(LookAhead(Ema(0.9))), WeightDecay(0.1)),
        papers.nadamw_algoperf,
        {"weight_decay": 0.1},
    ),
    "nadam of torch with all it has as schedules": (
        lambda: adamx.nadam(
            RATE,
            lambda k: 0.9 - 0.5 / (k + 2.0),
            momentum_decay=lambda k: 0.1 / (1.0 + k),
        ),
        papers.nadam_torch,
        {
            "b1": lambda k: 0.9 - 0.5 / (k + 2.0),
            "momentum_decay": lambda k: 0.1 / (1.0 + k),
        },
    ),
}
