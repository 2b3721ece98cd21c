"""The row of adamuon: matrices by AdaMuon, the other leaves by Adam."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .muon import AMPLIFIES

TWICE = {
    "test_arrays_are_leaves_and_constants_are_not": "beta is in two parts: two leaves"
}

# the defaults, which are the authors' code's, in the words of the oracle
AUTHORS = {"nesterov": True, "eps_rms": 1e-8, "weight_decay": 0.01, "adam_b2": 0.95}

PAPER = {"nesterov": False, "eps_rms": 0.0, "weight_decay": 0.0, "adam_b2": 0.999}

ROWS = (
    Optimizer(
        "adamuon",
        (
            Variant("", oracle="adamuon_or_adam", oracle_keywords=AUTHORS),
            Variant("paper", PAPER, oracle="adamuon_or_adam"),
            Variant(
                "heavy",
                {"eps_rms": 1e-4, "weight_decay": 0.1},
                oracle="adamuon_or_adam",
                oracle_keywords={**AUTHORS, "eps_rms": 1e-4, "weight_decay": 0.1},
            ),
            Variant(
                "no-sign",
                {**PAPER, "sign": False, "eps": 1e-4},
                oracle="adamuon_or_adam",
            ),
        ),
        hypers=("beta", "eps", "weight_decay"),
        slots=("momentum", "orthogonal_nu", "mu", "nu"),
        scope="tensor",
        exempt=SHARD | SMALLER | TWICE,
        amplifies=AMPLIFIES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamuon: no sign": (
        (papers.adamuon_or_adam, {}),
        lambda: adamx.adamuon(RATE, **{**PAPER, "sign": False}),
    ),
}
