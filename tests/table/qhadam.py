"""The row of qhadam."""

import adamx
from adamx import chain
from adamx.optimizers import QuasiHyperbolic
from adamx.parts import Debiased, Ema, LearningRate, Precondition, RootPlusEps, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "qhadam",
        (
            Variant(""),
            Variant("below", {"nu1": 0.9, "nu2": 0.6, "eps": 1e-4}),
            Variant("gradient", {"nu1": 0.0, "nu2": 0.5}),
        ),
        hypers=("b1", "b2", "eps", "nu1", "nu2"),
        slots=("mu", "nu"),
        # The mean remembers the roundings of 200 steps: measured 6.1.
        float32_bound=7.0,
        scale_free_from=1,
    ),
)


def over_the_root(moment):
    root = RootPlusEps(Debiased(Ema(0.999, square, "nu")), 1e-8)
    return Precondition(moment, by=root)


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "qhadam with its shares exchanged": (
        (papers.qhadam, {}),
        lambda: adamx.qhadam(RATE, nu1=0.3),
    ),
    "qhadam that blends before the correction": (
        (papers.qhadam, {"b1": 0.9}),
        lambda: chain(
            over_the_root(QuasiHyperbolic(Ema(0.9), 0.7)), LearningRate(RATE)
        ),
    ),
}
