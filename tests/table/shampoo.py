"""The row of shampoo."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

ROOTS = {
    "test_a_float32_run_stays_with_the_float64_run": (
        "a root of a matrix of little rank multiplies the rounding of its smallest "
        "eigenvalues"
    )
}

ROWS = (
    Optimizer(
        "shampoo",
        (
            Variant("", oracle="shampoo_of_an_axis"),
            Variant(
                "averages",
                {"eps": 1e-2, "b2": 0.95, "exponent": -0.25},
                oracle="shampoo_of_an_axis",
            ),
        ),
        hypers=(),
        slots=("left", "right"),
        scope="tensor",
        exempt=SHARD | SMALLER | ROOTS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "shampoo: the power of a vector for a matrix": (
        (papers.shampoo_of_an_axis, {}),
        lambda: adamx.shampoo(RATE, exponent=-0.5),
    ),
    "shampoo: an average for the sum": (
        (papers.shampoo_of_an_axis, {}),
        lambda: adamx.shampoo(RATE, b2=0.999),
    ),
}
