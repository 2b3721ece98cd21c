"""The row of soap."""

import jax.numpy as jnp

import adamx
from adamx import chain
from adamx.parts import (
    EpsBeforeCorrection,
    LearningRate,
    NormalizeRms,
    WeightDecayAfterStep,
)
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
HEAVY = {"weight_decay": 0.1, "precondition_frequency": 3, "b2": 0.9}
# Of a (3, 2) matrix a block is filled up, and of a vector of 4 none.
BLOCKS = {**HEAVY, "block_size": 2, "sort": True, "precondition_1d": True}
ONE_SIDE = {**HEAVY, "one_sided": "smaller", "bias_correction": False}


def corrected_rate(k):
    """The authors' rate: `correct_bias` multiplies it, from the second gradient on."""
    return RATE * jnp.sqrt(1 - 0.95**k) / jnp.maximum(1 - 0.95**k, 0.05)


ROWS = (
    Optimizer(
        "soap",
        (
            Variant("", oracle_keywords={**PAPER, "weight_decay": 0.01}),
            Variant("heavy", HEAVY, oracle_keywords={**PAPER, **HEAVY}),
            Variant(
                "blocks",
                BLOCKS,
                oracle="soap_in_blocks",
                oracle_keywords={**PAPER, **BLOCKS},
            ),
            Variant("one side", ONE_SIDE, oracle_keywords={**PAPER, **ONE_SIDE}),
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
    "soap: blocks in the basis of the whole": (
        (papers.soap_in_blocks, {**PAPER, **BLOCKS}),
        lambda: adamx.soap(RATE, **{**BLOCKS, "block_size": None}),
    ),
    "soap: the longer side": (
        (papers.soap, {**PAPER, **ONE_SIDE}),
        lambda: adamx.soap(RATE, **{**ONE_SIDE, "one_sided": "left"}),
    ),
    "soap: a correction too many": (
        (papers.soap, {**PAPER, **ONE_SIDE}),
        lambda: adamx.soap(RATE, **{**ONE_SIDE, "bias_correction": True}),
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
    "soap with a decay part, as in its authors' code but for the first step": (
        lambda: adamx.soap(
            RATE,
            eps=EpsBeforeCorrection(1e-8),
            sort=True,
            weight_decay=WeightDecayAfterStep(0.1, learning_rate=RATE),
        ),
        papers.soap,
        {"weight_decay": 0.1, "decays_at_once": True},
    ),
    "soap of its authors' code with `normalize_grads`": (
        lambda: chain(
            adamx.scale_by_soap(
                eps=EpsBeforeCorrection(1e-8), sort=True, bias_correction=False
            ),
            NormalizeRms(1.0),
            LearningRate(corrected_rate),
        ),
        papers.soap,
        {"normalize_grads": True},
    ),
}
