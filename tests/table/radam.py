"""The row of radam."""

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
    Rectified,
    RootPlusEps,
    square,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .adam import B1, B2, EPS, adam_of

ROWS = (
    Optimizer(
        "radam",
        (
            Variant("", in_optax=optax.radam),
            Variant(
                "paper-threshold",
                {"threshold": 4.0, "b2": 0.99},
                in_optax=functools.partial(optax.radam, threshold=4.0, b2=0.99),
            ),
            Variant("skip", {"degenerate": "skip"}),
        ),
        hypers=("b1", "b2", "eps", "threshold"),
        slots=("mu", "nu"),
        unscheduled=("b2",),  # ρ_t is defined for a constant b2
        scale_free_from=6,
    ),
)


def radam_of(**keywords):
    nu = Debiased(Ema(B2, of=square, name="nu"))
    by = Rectified(RootPlusEps(nu, EPS), **keywords)
    return chain(Precondition(Debiased(Ema(B1)), by=by), LearningRate(RATE))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "never rectified": (
        (papers.radam, {}),
        lambda: radam_of(threshold=1e9),
    ),
    "rectified one step early": ((papers.radam, {}), lambda: radam_of(threshold=4.0)),
    "rectified one step late": ((papers.radam, {}), lambda: radam_of(threshold=6.0)),
    "rectifier dropped": ((papers.radam, {}), adam_of),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "radam with the eps of torch": (
        lambda: adamx.radam(RATE, eps=EpsBeforeCorrection(1e-4)),
        papers.radam_torch,
        {"eps": 1e-4},
    ),
    "radam of its authors' code": (
        lambda: adamx.radam(RATE, eps=EpsBeforeCorrection(1e-4), degenerate="skip"),
        papers.radam_torch,
        {"eps": 1e-4, "degenerate": "skip"},
    ),
}
