"""The row of msvag."""

from adamx import chain
from adamx.parts import Centered, Debiased, Ema, LearningRate, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .adabelief import adam_of

ROWS = (
    Optimizer(
        "msvag",
        (Variant(""), Variant("quick", {"beta": 0.5})),
        hypers=("beta",),
        slots=("mu", "nu"),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "msvag that divides by the deviation": (
        (papers.msvag, {}),
        lambda: adam_of(Centered(Ema(0.9, square, "nu"), Ema(0.9, name="mean"))),
    ),
    "msvag without the variance": (
        (papers.msvag, {}),
        lambda: chain(Debiased(Ema(0.9)), LearningRate(RATE)),
    ),
}
