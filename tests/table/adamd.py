"""The row of adamd."""

import adamx
from adamx.parts import EpsBeforeCorrection
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adamd",
        (Variant(""), Variant("coarse", {"b1": 0.6, "b2": 0.9, "eps": 1e-2})),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamd with the mean corrected": ((papers.adamd, {}), lambda: adamx.adam(RATE)),
    "adamd with eps before the correction": (
        (papers.adamd, {}),
        lambda: adamx.adamd(RATE, eps=EpsBeforeCorrection(1e-8)),
    ),
}
