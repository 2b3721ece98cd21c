"""The row of adamod."""

import adamx
from adamx import chain
from adamx.optimizers import MomentalBound
from adamx.parts import Debiased, Ema, EpsBeforeCorrection, LearningRate
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .adabound import root

ROWS = (
    Optimizer(
        "adamod",
        (
            Variant(""),
            Variant("quick", {"b3": 0.5, "b2": 0.9, "eps": 1e-3}),
            Variant(
                "official",
                {"corrected_rate": True, "eps": EpsBeforeCorrection(1e-8)},
                oracle="adamod_official",
                oracle_keywords={},
            ),
        ),
        hypers=("b1", "b2", "b3", "eps"),
        slots=("mu", "nu", "rate"),
        # The mean of the rates remembers the roundings of 1,000 steps: measured 5.7.
        float32_bound=7.0,
        scale_free_from=1,
    ),
)


# The check starts with a zero gradient: a longer memory never forgets its rate, α / ε.
SHORT = {"b3": 0.5, "eps": 1e-3}

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamod without its bound": (
        (papers.adamod, SHORT),
        lambda: adamx.adam(RATE, eps=1e-3),
    ),
    "adamod that bounds the corrected rate": (
        (papers.adamod, SHORT),
        lambda: adamx.adamod(RATE, **SHORT, corrected_rate=True),
    ),
    "adamod that averages a changing rate without it": (
        (papers.adamod, {"learning_rate": lambda k: RATE / (1.0 + k), **SHORT}),
        lambda: chain(
            MomentalBound(Debiased(Ema(0.9)), by=root(1e-3), decay=0.5),
            LearningRate(lambda k: RATE / (1.0 + k)),
        ),
    ),
}
