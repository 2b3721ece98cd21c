"""The row of avagrad."""

import optax

import adamx
from adamx import chain
from adamx.parts import LearningRate
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

COUPLED = "its leaves are not independent of each other"

ROWS = (
    Optimizer(
        "avagrad",
        (Variant(""), Variant("adaptive", {"eps": 1e-3, "b2": 0.9})),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scope="tree",
        exempt={
            "test_masked": COUPLED,
            "test_partition_with_an_empty_group": COUPLED,
            "test_inside_shard_map": "the mean over the model needs axis_name",
        },
    ),
)

LEAVES = ("matrix", "vector", "scalar")

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "avagrad of each leaf by itself": (
        (papers.avagrad, {}),
        lambda: optax.partition(
            {name: adamx.avagrad(RATE) for name in LEAVES},
            {name: name for name in LEAVES},
        ),
    ),
    "avagrad that has seen the gradient": (
        (papers.avagrad, {}),
        lambda: chain(
            adamx.parts.Precondition(
                adamx.parts.Ema(0.9),
                by=adamx.parts.RootPlusEps(
                    adamx.parts.Ema(0.999, adamx.parts.square, "nu"), 0.1
                ),
            ),
            LearningRate(RATE * 0.1),
        ),
    ),
}
