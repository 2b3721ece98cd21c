"""The row of soap."""

import adamx
from adamx.parts import EpsBeforeCorrection
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

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
    Optimizer(
        "soap",
        (
            Variant("", oracle_keywords={**PAPER, "weight_decay": 0.01}),
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
        scope="tensor",
        exempt=SHARD | SMALLER | CONSTANT | SKIPS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "soap: bases refreshed one step too often": (
        (papers.soap, PAPER),
        lambda: adamx.soap(RATE, precondition_frequency=9, weight_decay=0.0),
    ),
    "soap: in no basis": (
        (papers.soap, PAPER),
        lambda: adamx.soap(RATE, max_dim=1, weight_decay=0.0),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "soap of its authors' code, without decay": (
        lambda: adamx.soap(
            RATE, eps=EpsBeforeCorrection(1e-8), sort=True, weight_decay=0.0
        ),
        papers.soap,
        {},
    ),
}
