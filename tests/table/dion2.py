"""The row of dion2: matrices by Dion2, the other leaves by Adam."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER
from .muon import AMPLIFIES

# the defaults, which are the authors' code's, in the words of the oracle
AUTHORS = {"weight_decay": 0.01, "adam_b2": 0.95, "out_axis": 1}
HEAVY = {"mu": 0.5, "eps": 1e-3, "weight_decay": 0.1, "fraction": 0.6}

ROWS = (
    Optimizer(
        "dion2",
        (
            Variant("", oracle="dion2_or_adam", oracle_keywords=AUTHORS),
            Variant(
                "whole",
                {"fraction": 1.0},
                oracle="dion2_or_adam",
                oracle_keywords={**AUTHORS, "fraction": 1.0},
            ),
            Variant(
                "torch-layout",
                {**HEAVY, "out_axis": 0},
                oracle="dion2_or_adam",
                oracle_keywords={**HEAVY, "adam_b2": 0.95},
            ),
        ),
        hypers=("mu", "eps", "weight_decay"),
        slots=("momentum", "mu", "nu"),
        scope="tensor",
        exempt=SHARD | SMALLER | NO_KINDS,
        amplifies=AMPLIFIES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "dion2: all of the momentum decays": (
        (papers.dion2_or_adam, AUTHORS),
        lambda: adamx.dion2(RATE, fraction=1.0),
    ),
    "dion2: what was applied stays in the momentum": (
        (papers.dion2_or_adam, AUTHORS),
        lambda: adamx.dion2(RATE, 0.999),
    ),
    "dion2: out and in exchanged": (
        (papers.dion2_or_adam, AUTHORS),
        lambda: adamx.dion2(RATE, out_axis=0),
    ),
}
