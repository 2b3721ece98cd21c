"""The row of muon: matrices by Muon, the other leaves by Adam."""

import adamx
from adamx import Masked, chain
from adamx.parts import (
    Ema,
    LearningRate,
    Not,
    Orthogonalize,
    ScaleByShape,
    hidden_matrix,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

# Each Newton-Schulz iteration multiplies small singular values by 3.4, and their
# rounding; measured, in units of the last place: muon 10.2, adamuon 12.0, of 8.
AMPLIFIES = 2.0

EPS = {"eps": 1e-8}  # Optax's

ROWS = (
    Optimizer(
        "muon",
        (
            Variant("", oracle="muon_or_adam", oracle_keywords={"out_axis": 1} | EPS),
            Variant(
                "torch-layout",
                {"out_axis": 0, "weight_decay": 0.1, "beta": 0.9, "eps": 1e-7}
                | {"adam_eps": 1e-8},
                oracle="muon_or_adam",
                oracle_keywords={"weight_decay": 0.1, "beta": 0.9},
            ),
            Variant(
                "moonshot",
                {"consistent_rms": 0.2, "nesterov": False, "weight_decay": 0.1} | EPS,
                oracle="muon_or_adam",
            ),
        ),
        hypers=("beta", "weight_decay"),
        slots=("momentum", "mu", "nu"),
        scope="tensor",
        exempt=SHARD | SMALLER,
        amplifies=AMPLIFIES,
    ),
)


def _muon(*parts):
    return chain(
        Masked(chain(*parts), hidden_matrix),
        Masked(adamx.scale_by_adam(), Not(hidden_matrix)),
        LearningRate(RATE),
    )


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "muon: no look-ahead": (
        (papers.muon_or_adam, {"out_axis": 1}),
        lambda: adamx.muon(RATE, nesterov=False),
    ),
    "muon: out and in exchanged": (
        (papers.muon_or_adam, {"out_axis": 1}),
        lambda: adamx.muon(RATE, out_axis=0),
    ),
    "muon: orthogonalised before the momentum": (
        (papers.muon_or_adam, {"nesterov": False}),
        lambda: _muon(
            Orthogonalize(), Ema(0.95, name="momentum"), ScaleByShape(out_axis=0)
        ),
    ),
}
