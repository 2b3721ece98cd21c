"""The row of signum."""

import optax

from adamx import chain
from adamx.parts import Ema, LearningRate, Sign
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "signum",
        (
            Variant("", in_optax=optax.signum),
            Variant("heavy", {"weight_decay": 0.3, "beta": 0.6}),
        ),
        hypers=("beta", "weight_decay"),
        slots=("mu",),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "signum without a memory": (
        (papers.signum, {}),
        lambda: chain(Sign(), LearningRate(RATE)),
    ),
    "signum of the average of signs": (
        (papers.signum, {}),
        lambda: chain(Sign(), Ema(0.9), LearningRate(RATE)),
    ),
}
