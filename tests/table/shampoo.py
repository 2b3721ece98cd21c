"""The row of shampoo."""

import adamx
from tests import papers
from tests.table.hyperparameters import SCHEDULES
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

ROOTS = {
    "test_a_float32_run_stays_with_the_float64_run": (
        "a root of a matrix of little rank multiplies the rounding of its smallest "
        "eigenvalues"
    )
}

# Of a (3, 2) matrix a block is filled up, and of a vector of 4 none.
BLOCKS = {"eps": 1e-2, "b2": 0.95, "bias_correction": True, "block_size": 2}
BLOCKS |= {"precondition_frequency": 3}
ONE_SIDE = {"eps": 1e-2, "one_sided": "smaller", "precondition_frequency": 4}
ONE_SIDE |= {"start_preconditioning_step": 2}

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
            Variant(
                "corrected",
                {"eps": 1e-2, "b2": 0.95, "bias_correction": True},
                oracle="shampoo_of_an_axis",
            ),
            Variant("blocks", BLOCKS, oracle="shampoo_of_an_axis"),
            Variant("one side", ONE_SIDE, oracle="shampoo_of_an_axis"),
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
    "shampoo: an average that is not corrected": (
        (
            papers.shampoo_of_an_axis,
            {"eps": 1e-2, "b2": 0.95, "bias_correction": True},
        ),
        lambda: adamx.shampoo(RATE, 1e-2, b2=0.95),
    ),
    "shampoo: blocks of another size": (
        (papers.shampoo_of_an_axis, BLOCKS),
        lambda: adamx.shampoo(RATE, **{**BLOCKS, "block_size": 3}),
    ),
    "shampoo: roots that start at the interval": (
        (papers.shampoo_of_an_axis, ONE_SIDE),
        lambda: adamx.shampoo(RATE, **{**ONE_SIDE, "start_preconditioning_step": 4}),
    ),
    "shampoo: the longer side": (
        (papers.shampoo_of_an_axis, ONE_SIDE),
        lambda: adamx.shampoo(RATE, **{**ONE_SIDE, "one_sided": "left"}),
    ),
    "shampoo: an average for the sum": (
        (papers.shampoo_of_an_axis, {}),
        lambda: adamx.shampoo(RATE, b2=0.999),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "shampoo corrected under a schedule": (
        lambda: adamx.shampoo(RATE, 1e-2, b2=SCHEDULES["b2"], bias_correction=True),
        papers.shampoo_of_an_axis,
        {"eps": 1e-2, "b2": SCHEDULES["b2"], "bias_correction": True},
    ),
}
