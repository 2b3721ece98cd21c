"""The row of sm3."""

import adamx
from adamx import chain
from adamx.optimizers import Sm3Accumulator
from adamx.parts import Identity, LearningRate, Precondition, RootPlusEps
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

ROWS = (
    Optimizer(
        "sm3",
        (
            # Optax's own fails on a scalar leaf
            Variant("", oracle_keywords={"eps": 1e-8}),
            Variant("paper", {"eps": 0.0}),
            Variant("no-momentum", {"momentum": 0.0, "eps": 0.0}),
        ),
        hypers=("momentum",),
        slots=("mu", "cover"),
        scope="tensor",
        exempt=SHARD | SMALLER,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "sm3: eps inside the root": (
        (papers.sm3, {}),
        lambda: adamx.sm3(RATE),
    ),
    "sm3: no momentum": (
        (papers.sm3, {}),
        lambda: chain(
            Precondition(Identity(), by=RootPlusEps(Sm3Accumulator(), 0.0)),
            LearningRate(RATE),
        ),
    ),
}
