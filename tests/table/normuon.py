"""The row of normuon: matrices by NorMuon, the other leaves by Adam."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .muon import AMPLIFIES

# the defaults, which are the authors' code's, in the words of the oracle
AUTHORS = {"released": True, "out_axis": 1, "eps": 1e-10, "adam_b2": 0.95}
ADAM = {"adam_eps": 1e-8}  # the oracle's, the authors' is 1e-10
PAPER = {**ADAM, "nesterov": False, "consistent_rms": 0.2, "eps": 1e-8}
HEAVY = {"b2": 0.8, "eps": 1e-3, "weight_decay": 0.1}

ROWS = (
    Optimizer(
        "normuon",
        (
            Variant("", ADAM, oracle="normuon_or_adam", oracle_keywords=AUTHORS),
            Variant(
                "paper",
                {**PAPER, "out_axis": 0},
                oracle="normuon_or_adam",
                oracle_keywords={"adam_b2": 0.95},
            ),
            Variant(
                "heavy",
                {**PAPER, **HEAVY},
                oracle="normuon_or_adam",
                oracle_keywords={**HEAVY, "out_axis": 1, "adam_b2": 0.95},
            ),
        ),
        hypers=("beta", "b2", "eps", "weight_decay"),
        slots=("momentum", "neuron_nu", "mu", "nu"),
        scope="tensor",
        exempt=SHARD | SMALLER,
        amplifies=AMPLIFIES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "normuon: the neurons are the rows": (
        (papers.normuon_or_adam, AUTHORS),
        lambda: adamx.normuon(RATE, out_axis=0, **ADAM),
    ),
    "normuon: no second moment": (
        (papers.normuon_or_adam, AUTHORS),
        lambda: adamx.muon(RATE, eps=1e-7, adam_b2=0.95, adam_eps=1e-8),
    ),
}
