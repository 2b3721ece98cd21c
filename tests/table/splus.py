"""The row of splus, tested as it is trained; test_splus.py has its average."""

import adamx
from adamx import chain
from adamx.optimizers import ScaleBySides
from adamx.parts import Ema, LearningRate, Sign
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_VALUES, SHARD, SMALLER
from .soap import CONSTANT

OFTEN = {"inverse_every": 3, "b2": 0.9, "weight_decay": 0.1}

ROWS = (
    Optimizer(
        "splus",
        (
            Variant("", oracle_keywords={"weight_decay": 0.01}),
            Variant("often", OFTEN | {"nonstandard_constant": 0.2}),
        ),
        hypers=("b1", "b2", "weight_decay", "nonstandard_constant"),
        slots=("mu", "left", "left_basis", "right", "right_basis", "average"),
        shared=("average_share", "average_weight"),
        scope="tensor",
        exempt=SHARD | SMALLER | CONSTANT | NO_VALUES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "splus: bases refreshed one step too often": (
        (papers.splus, {"inverse_every": 4}),
        lambda: adamx.splus(RATE, inverse_every=3, weight_decay=0.0),
    ),
    "splus: in no basis": (
        (papers.splus, {"inverse_every": 3}),
        lambda: chain(Ema(0.9), Sign(), ScaleBySides(), LearningRate(RATE)),
    ),
    "splus: not scaled by the sides": (
        (papers.splus, {"inverse_every": 3}),
        lambda: adamx.splus(RATE, inverse_every=3, weight_decay=0.0, max_dim=2),
    ),
    "splus: its decay not scaled by the sides": (
        (papers.splus, {"weight_decay": 0.1}),
        lambda: chain(
            adamx.scale_by_splus(), adamx.parts.WeightDecay(0.1), LearningRate(RATE)
        ),
    ),
}
