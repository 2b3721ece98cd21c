"""Rows of the table."""

import adamx
from adamx.parts import EpsBeforeCorrection
from tests import papers
from tests.table.row import RATE, Member, Variant

from .adafactor import SHARD, SMALLER, STATIC

ROOTS = {
    "test_a_float32_run_stays_with_the_float64_run": (
        "a root of a matrix of little rank multiplies the rounding of its smallest "
        "eigenvalues"
    )
}
CONSTANT = {
    "test_the_derivative_by_each_hyperparameter_is_the_difference_quotient": (
        "its bases are constants in derivatives"
    )
}
SKIPS = {
    "test_jit_of_update_on_equal_transforms_with_arrays_traces_once": (
        "the first step moves nothing, whatever the rate"
    ),
    "test_arrays_of_a_transform_that_is_an_argument_change_without_a_recompile": (
        "the first step moves nothing, whatever the rate"
    ),
}
PAPER = {"released": False}

ROWS = (
    Member(
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
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC | ROOTS,
    ),
    Member(
        "soap",
        (
            Variant("", oracle_keywords=PAPER),
            Variant(
                "heavy",
                {"weight_decay": 0.1, "precondition_frequency": 3, "b2": 0.9},
                oracle_keywords={
                    **PAPER,
                    "weight_decay": 0.1,
                    "precondition_frequency": 3,
                    "b2": 0.9,
                },
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu", "left", "right", "left_basis", "right_basis"),
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC | CONSTANT | SKIPS,
    ),
)

MUTANTS = {
    "shampoo: the power of a vector for a matrix": (
        (papers.shampoo_of_an_axis, {}),
        lambda: adamx.shampoo(RATE, exponent=-0.5),
    ),
    "shampoo: an average for the sum": (
        (papers.shampoo_of_an_axis, {}),
        lambda: adamx.shampoo(RATE, b2=0.999),
    ),
    "soap: bases refreshed one step too often": (
        (papers.soap, PAPER),
        lambda: adamx.soap(RATE, precondition_frequency=9),
    ),
    "soap: in no basis": (
        (papers.soap, PAPER),
        lambda: adamx.soap(RATE, max_dim=0),
    ),
}

COMPOSED = {
    "soap of its authors' code, without decay": (
        lambda: adamx.soap(RATE, eps=EpsBeforeCorrection(1e-8), sort=True),
        papers.soap,
        {},
    ),
}
