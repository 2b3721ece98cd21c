"""The row of diffgrad."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "diffgrad",
        (Variant(""), Variant("coarse", {"b1": 0.6, "b2": 0.9, "eps": 1e-2})),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "gradient_before"),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "diffgrad without friction": ((papers.diffgrad, {}), lambda: adamx.adam(RATE)),
    "diffgrad whose gradient never changes": (
        (papers.diffgrad, {}),
        lambda: adamx.adam(RATE / 2),
    ),
}
