"""The row of adam_atan2."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adam_atan2",
        (
            Variant(""),
            Variant("coarse", {"a": 1.0, "b": 0.5, "b2": 0.9, "weight_decay": 0.3}),
        ),
        hypers=("b1", "b2", "a", "b", "weight_decay"),
        slots=("mu", "nu"),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "atan2 as a quotient": (
        (papers.adam_atan2, {}),
        lambda: adamx.adam(RATE, b2=0.99),
    ),
    "atan2 with b outside": (
        (papers.adam_atan2, {"b": 0.5}),
        lambda: adamx.adam_atan2(RATE * 0.5),
    ),
}
