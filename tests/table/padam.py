"""The row of padam."""

import adamx
from adamx import chain
from adamx.optimizers import PartialPower
from adamx.parts import Ema, LearningRate, Precondition, RootPlusEps, square as g2
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "padam",
        (
            Variant(""),
            Variant("root", {"p": 0.5, "b2": 0.9, "eps": 1e-3}),
            Variant("momentum", {"p": 0.0}),
            Variant(
                "official",
                {"bias_correction": True},
                oracle="padam_official",
                oracle_keywords={},
            ),
        ),
        hypers=("b1", "b2", "eps", "p"),
        slots=("mu", "nu", "nu_max"),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "padam that corrects": (
        (papers.padam, {}),
        lambda: adamx.padam(RATE, bias_correction=True),
    ),
    "padam of the root instead of the square": (
        (papers.padam, {}),
        lambda: adamx.padam(RATE, p=0.125),
    ),
    "padam that forgets": (
        (papers.padam, {"b2": 0.9}),
        lambda: chain(
            Precondition(
                Ema(0.9),
                by=PartialPower(
                    RootPlusEps(
                        Ema(0.9, g2, "nu"), adamx.parts.EpsBeforeCorrection(1e-8)
                    )
                ),
            ),
            LearningRate(RATE),
        ),
    ),
}
