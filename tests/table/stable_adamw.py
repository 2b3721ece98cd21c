"""The row of stable_adamw."""

import adamx
from adamx import chain
from adamx.parts import LearningRate, WeightDecay
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD

DERIVATIVE = {
    "test_the_derivative_by_each_hyperparameter_is_the_difference_quotient": (
        "it jumps where a threshold is passed"
    )
}

ROWS = (
    Optimizer(
        "stable_adamw",
        (
            Variant("", oracle_keywords={"weight_decay": 0.2}),
            Variant("light", {"weight_decay": 0.01, "b2": 0.9, "eps": 1e-3}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | DERIVATIVE,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "stable_adamw: the decay not shortened": (
        (papers.stable_adamw, {"weight_decay": 0.1}),
        lambda: chain(
            adamx.scale_by_stable_adamw(), WeightDecay(0.1), LearningRate(RATE)
        ),
    ),
}
