"""Rows of the table."""

import adamx
from adamx import chain
from adamx.optimizers import Sm3Accumulator
from adamx.parts import (
    Ema,
    FactoredSecondMoment,
    Identity,
    LearningRate,
    Precondition,
    RootPlusEps,
)
from tests import papers
from tests.papers.adam_mini import by_columns
from tests.table.row import RATE, Member, Variant

SHARD = {
    "test_inside_shard_map": "it needs axis_name: test_sharded_and_stacked.py has it",
}
SMALLER = {
    name: "its slots are smaller than the leaf: test_sharded_and_stacked.py has it"
    for name in (
        "test_init_keeps_the_sharding_of_the_parameters",
        "test_init_keeps_the_sharding_without_a_mesh_in_scope",
        "test_the_sharded_run_is_the_unsharded_run",
        "test_tree_map_params",
    )
}
READS = {
    "test_members_without_decay_need_no_parameters": "it reads their root mean square",
}
STATIC = {
    name: "it has integers, which inject_hyperparams must be told are static"
    for name in (
        "test_inject_hyperparams",
        "test_inject_hyperparams_changes_without_a_recompile",
        "test_one_schedule_in_three_ways_is_one_trajectory",
    )
}
STEEP = {
    "test_the_derivative_through_updates_at_a_zero_gradient_is_finite": (
        "its ε of 1e-30 and 1e-16 stand in squares: 1 / ε² is beyond float32"
    )
}
COARSE = {
    "test_inject_hyperparams": "1 - b3 of a float32 array is off by 3e-4 at b3=.9999",
}
NO_KINDS = {
    name: "its ε is added to squares: it has no kinds"
    for name in (
        "test_zero_over_zero_is_zero_in_every_kind_of_eps",
        "test_the_derivative_at_zero_is_finite_in_every_kind_of_eps",
    )
}

ROWS = (
    Member(
        "adafactor",
        (
            Variant(""),
            Variant(
                "momentum", {"momentum": 0.9, "multiply_by_parameter_scale": False}
            ),
            Variant("unclipped", {"clipping_threshold": None, "eps": 1e-3}),
            Variant(
                "whole",  # Optax's default, which factors none of these small leaves
                {"min_dim_size_to_factor": 128},
                oracle_keywords={"factored": False},
                # no twin: Optax's decay stays float32 under x64, 6e-8 off
            ),
        ),
        hypers=(),
        slots=("nu", "nu_row", "nu_col"),
        reach="per tensor",
        exempt=SHARD | SMALLER | READS | STATIC,
    ),
    Member(
        "came",
        (
            Variant(""),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b3": 0.99, "clipping_threshold": 0.5},
            ),
        ),
        hypers=("b1", "b2", "b3", "eps", "weight_decay"),
        slots=("mu", "nu", "nu_row", "nu_col", "instability_row", "instability_col"),
        reach="per tensor",
        exempt=SHARD | SMALLER | NO_KINDS | COARSE | STEEP,
    ),
    Member(
        "sm3",
        (
            Variant(""),
            Variant("optax", {"eps": 1e-8}),  # whose own fails on a scalar leaf
            Variant("no-momentum", {"momentum": 0.0}),
        ),
        hypers=("momentum",),
        slots=("mu", "cover"),
        reach="per tensor",
        exempt=SHARD | SMALLER,
    ),
    Member(
        "adam_mini",
        (
            Variant("", oracle_keywords={"blocks": by_columns}),
            Variant(
                "one-block", {"blocks": adamx.optimizers.one_block}, oracle_keywords={}
            ),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                oracle_keywords={
                    "weight_decay": 0.3,
                    "b2": 0.99,
                    "eps": 1e-4,
                    "blocks": by_columns,
                },
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        reach="per tensor",
        exempt=SHARD | SMALLER,
    ),
)

MUTANTS = {
    "adafactor: a constant decay": (
        (papers.adafactor, {}),
        lambda: chain(
            Precondition(Identity(), by=RootPlusEps(FactoredSecondMoment(0.999), 0.0)),
            adamx.parts.ClipByRms(1.0),
            adamx.optimizers.ScaleByParameterRms(),
            LearningRate(RATE),
        ),
    ),
    "came: confidence in the update, not in its surprise": (
        (papers.came, {}),
        lambda: chain(
            Precondition(Identity(), by=RootPlusEps(FactoredSecondMoment(0.999), 0.0)),
            adamx.parts.ClipByRms(1.0),
            Precondition(
                Ema(0.9),
                by=RootPlusEps(
                    FactoredSecondMoment(
                        0.9999, name="other", eps=1e-16, keep_whole=False
                    ),
                    0.0,
                ),
            ),
            LearningRate(RATE),
        ),
    ),
    "sm3: eps inside the root": (
        (papers.sm3, {}),
        lambda: adamx.sm3(RATE, eps=1e-8),
    ),
    "sm3: no momentum": (
        (papers.sm3, {}),
        lambda: chain(
            Precondition(Identity(), by=RootPlusEps(Sm3Accumulator(), 0.0)),
            LearningRate(RATE),
        ),
    ),
    "adam_mini: blocks across the wrong axis": (
        (papers.adam_mini, {"blocks": by_columns}),
        lambda: adamx.adam_mini(RATE, blocks=adamx.optimizers.by_row),
    ),
}
