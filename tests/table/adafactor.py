"""The row of adafactor."""

import adamx
from adamx import chain
from adamx.parts import (
    FactoredSecondMoment,
    Identity,
    LearningRate,
    Precondition,
    RootPlusEps,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

READS = {
    "test_optimizers_without_decay_need_no_parameters": "it reads their RMS",
}

FACTORED = {"min_dim_size_to_factor": 0}

ROWS = (
    Optimizer(
        "adafactor",
        (
            Variant("", FACTORED, oracle_keywords={}),  # the paper's: all matrices
            Variant(
                "momentum",
                {"momentum": 0.9, "multiply_by_parameter_scale": False} | FACTORED,
                oracle_keywords={"momentum": 0.9, "multiply_by_parameter_scale": False},
            ),
            Variant(
                "unclipped",
                {"clipping_threshold": None, "eps": 1e-3} | FACTORED,
                oracle_keywords={"clipping_threshold": None, "eps": 1e-3},
            ),
            Variant(
                "whole",  # the default, which factors none of these small leaves
                oracle_keywords={"factored": False},
                # no counterpart: Optax's decay stays float32 under x64, 6e-8 off
            ),
        ),
        hypers=(),
        slots=("nu", "nu_row", "nu_col"),
        scope="tensor",
        exempt=SHARD | SMALLER | READS,
    ),
)

# name: (what it pretends to be, the wrong transform)
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
}
