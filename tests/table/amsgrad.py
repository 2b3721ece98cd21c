"""The row of amsgrad."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    LearningRate,
    Precondition,
    RootPlusEps,
    RunningMax,
    square as g2,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

UNCORRECTED = {"bias_correction_mu": False, "bias_correction_nu": False}

ROWS = (
    Optimizer(
        "amsgrad",
        (
            Variant("", in_optax=optax.amsgrad),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2},
                in_optax=functools.partial(optax.amsgrad, b1=0.6, b2=0.9, eps=1e-2),
            ),
            Variant(
                "torch",
                {"largest_first": True},
                oracle="amsgrad_torch",
                oracle_keywords={},
            ),
            Variant(
                "paper",
                UNCORRECTED,
                oracle="amsgrad_paper",
                oracle_keywords={},
                in_optax=functools.partial(optax.amsgrad, **UNCORRECTED),
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "nu_max"),
        scale_free_from=1,
    ),
)


def amsgrad_of(largest):
    root = RootPlusEps(largest, 1e-8)
    return chain(Precondition(Debiased(Ema(0.9)), by=root), LearningRate(RATE))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "amsgrad that forgets": ((papers.amsgrad, {}), lambda: adamx.adam(RATE)),
    "amsgrad that takes the largest first": (
        (papers.amsgrad, {"b2": 0.9}),
        lambda: amsgrad_of(Debiased(RunningMax(Ema(0.9, g2, "nu")))),
    ),
    "torch's amsgrad that corrects first": (
        (papers.amsgrad_torch, {"b2": 0.9}),
        lambda: amsgrad_of(RunningMax(Debiased(Ema(0.9, g2, "nu")))),
    ),
    "amsgrad of the largest square": (
        (papers.amsgrad, {}),
        lambda: amsgrad_of(RunningMax(Ema(0.0, g2, "nu"))),
    ),
}
