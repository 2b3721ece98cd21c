"""The row of adapnm."""

import adamx
from adamx import chain
from adamx.optimizers import PositiveNegativeMomentum
from adamx.parts import Debiased, Ema, LearningRate, Precondition, RootPlusEps, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adapnm",
        (
            Variant("", {"weight_decay": 0.1}),
            Variant("no-decay", {"b3": 0.5, "b1": 0.8, "b2": 0.9}),
        ),
        hypers=("b1", "b2", "b3", "eps", "weight_decay"),
        slots=("mu", "mu_before", "nu", "nu_max"),
        scale_free_from=1,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adapnm without its largest": (
        (papers.adapnm, {"b2": 0.9}),
        lambda: chain(
            Precondition(
                Debiased(PositiveNegativeMomentum(0.9, 1.0)),
                by=RootPlusEps(Debiased(Ema(0.9, square, "nu")), 1e-8),
            ),
            LearningRate(RATE),
        ),
    ),
    "adapnm with its decays not squared": (
        (papers.adapnm, {}),
        lambda: adamx.adapnm(RATE, 0.9**0.5),
    ),
    "adapnm without the older average": (
        (papers.adapnm, {}),
        lambda: adamx.adapnm(RATE, b3=0.0),
    ),
}
