"""The row of adashift."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ARGUMENT = "test_arrays_of_a_transform_that_is_an_argument_change_without_a_recompile"

STILL = "nothing moves in its first n steps"

ONE_NUMBER = "nu is one number for each tensor"

ROWS = (
    Optimizer(
        "adashift",
        (
            Variant("", {"n": 2}),
            Variant("ten"),
            Variant(
                "elementwise",
                {"n": 3, "elementwise": True, "eps": 1e-4},
                oracle="adashift_elementwise",
                oracle_keywords={"n": 3, "eps": 1e-4},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("gradient_1", "gradient_2", "nu", "nu_weight"),
        scale_free_from=3,
        scope="tensor",
        exempt={
            "test_jit_of_update_on_equal_transforms_with_arrays_traces_once": STILL,
            ARGUMENT: STILL,
            "test_tunable_hyperparameters_change_without_a_recompile": STILL,
            "test_the_counter_saturates_and_the_update_stays_finite": STILL,
            "test_init_keeps_the_sharding_of_the_parameters": ONE_NUMBER,
            "test_init_keeps_the_sharding_without_a_mesh_in_scope": ONE_NUMBER,
            "test_inside_shard_map": "the largest of a tensor needs axis_name",
        },
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adashift one step later": (
        (papers.adashift, {"n": 2}),
        lambda: adamx.adashift(RATE, n=3),
    ),
    "adashift by each element": (
        (papers.adashift, {"n": 2}),
        lambda: adamx.adashift(RATE, n=2, elementwise=True),
    ),
    "adashift of the last gradient alone": (
        (papers.adashift, {"n": 2}),
        lambda: adamx.adashift(RATE, n=2, b1=0.0),
    ),
}
