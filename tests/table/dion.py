"""The row of dion: matrices by Dion, the other leaves by Adam."""

import functools

import numpy as np

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER

CONSTANT = {
    "test_the_derivative_by_each_hyperparameter_is_the_difference_quotient": (
        "its left factor is a constant in derivatives"
    )
}
LOW = {"rank_fraction": 0.5}
HEAVY = {"mu": 0.5, "eps": 1e-3, "weight_decay": 0.1}
AUTHORS = {"eps": 1e-8, "weight_decay": 0.01, "adam_b2": 0.95}


def oracle(theta, *given, rank=2, **keywords):
    """The paper's, from the Q that adamx begins with, which is any to the paper."""
    if np.ndim(theta) == 2:
        keywords["start"] = first_factor(rank, keywords.get("out_axis", 0))
    return papers.dion_or_adam(theta, *given, **keywords)


@functools.cache
def first_factor(rank, out_axis):
    """It is read off the state after a gradient of zero, which leaves it as it is."""
    tx = adamx.scale_by_dion(rank_fraction=rank / 2, out_axis=out_axis)
    p = {"matrix": np.zeros((3, 2))}
    _, state = tx.update(p, tx.init(p), p)
    factor = np.asarray(state.slots["right_factor"]["matrix"], np.float64)
    assert factor.shape == (3 if out_axis else 2, rank)
    return factor


ROWS = (
    Optimizer(
        "dion",
        (
            Variant("", oracle=oracle, oracle_keywords={**AUTHORS, "out_axis": 1}),
            Variant(
                "rank-1",
                LOW,
                oracle=oracle,
                oracle_keywords={**AUTHORS, "rank": 1, "out_axis": 1},
            ),
            Variant(
                "randomized",
                {**LOW, "randomized": True},
                oracle=oracle,
                oracle_keywords={**AUTHORS, "rank": 1, "out_axis": 1},
            ),
            Variant(
                "torch-layout",
                {**LOW, **HEAVY, "out_axis": 0},
                oracle=oracle,
                oracle_keywords={**HEAVY, "rank": 1, "adam_b2": 0.95},
            ),
        ),
        hypers=("mu", "eps", "weight_decay"),
        slots=("momentum", "right_factor", "mu", "nu"),
        scope="tensor",
        exempt=SHARD | SMALLER | CONSTANT | NO_KINDS,
    ),
)

WRONG = {**AUTHORS, "rank": 1, "out_axis": 1}

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "dion: all that was applied is taken out of the momentum": (
        (oracle, WRONG),
        lambda: adamx.dion(RATE, 0.0, **LOW),
    ),
    "dion: another rank": ((oracle, WRONG), lambda: adamx.dion(RATE)),
    "dion: out and in exchanged": (
        (oracle, WRONG),
        lambda: adamx.dion(RATE, out_axis=0, **LOW),
    ),
}
