"""The row of muown: matrices by Muown, the other leaves by Adam.

`amplifies`: what is returned is a difference of parameters, and their rounding counts
by as much as they are longer than a step. Measured: 35.9 units, of 8.
"""

import adamx
from adamx import Masked, chain
from adamx.parts import hidden_matrix
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, SHARD, SMALLER

AUTHORS = {"adam_b2": 0.95, "out_axis": 1}
TORCH = {"out_axis": 0, "nesterov": False, "beta": 0.9, "weight_decay": 0.1}

ROWS = (
    Optimizer(
        "muown",
        (
            Variant("", oracle="muown_or_adam", oracle_keywords=AUTHORS),
            Variant(
                "torch-layout",
                {**TORCH, "adam_b2": 0.99, "consistent_rms": None, "eps": 1e-6},
                oracle="muown_or_adam",
                oracle_keywords={
                    **TORCH,
                    "b2": 0.99,
                    "adam_b2": 0.99,
                    "consistent_rms": None,
                    "eps": 1e-6,
                },
            ),
        ),
        hypers=("beta", "weight_decay"),
        slots=(
            *("magnitude", "direction_norm", "magnitude_mu", "magnitude_nu"),
            *("momentum", "mu", "nu"),
        ),
        scope="tensor",
        exempt=SHARD | SMALLER | RATE_INSIDE | NO_VALUES,
        amplifies=5.0,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "muown: the neurons are the rows": (
        (papers.muown_or_adam, AUTHORS),
        lambda: adamx.muown(RATE, out_axis=0),
    ),
    "muown: no lengths": (
        (papers.muown_or_adam, AUTHORS),
        lambda: adamx.muon(RATE, consistent_rms=0.2, eps=1e-7, adam_b2=0.95),
    ),
    "muown: the lengths held": (
        (papers.muown_or_adam, AUTHORS),
        lambda: chain(
            adamx.muown(RATE),
            Masked(adamx.parts.RadialBrake(0.0, 0.0), hidden_matrix),
        ),
    ),
    "muown: no look-ahead": (
        (papers.muown_or_adam, AUTHORS),
        lambda: adamx.muown(RATE, nesterov=False),
    ),
}
