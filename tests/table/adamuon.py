"""The row of adamuon: matrices by AdaMuon, the other leaves by Adam."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .muon import AMPLIFIES

TWICE = {
    "test_arrays_are_leaves_and_constants_are_not": "beta is in two parts: two leaves"
}

ROWS = (
    Optimizer(
        "adamuon",
        (
            Variant("", oracle="adamuon_or_adam"),
            Variant(
                "authors",
                {"nesterov": True, "eps_rms": 1e-8, "weight_decay": 0.1},
                oracle="adamuon_or_adam",
            ),
            Variant("no-sign", {"sign": False, "eps": 1e-4}, oracle="adamuon_or_adam"),
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
        lambda: adamx.adamuon(RATE, sign=False),
    ),
}
