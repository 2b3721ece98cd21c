"""The row of lion."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import Ema, LearningRate, Sign, WeightDecay
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "lion",
        (
            Variant("", in_optax=optax.lion),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b1": 0.6, "b2": 0.9},
                in_optax=functools.partial(
                    optax.lion, weight_decay=0.3, b1=0.6, b2=0.9
                ),
            ),
        ),
        hypers=("b1", "b2", "weight_decay"),
        slots=("mu",),
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "lion that steps by what it keeps": (
        (papers.lion, {}),
        lambda: chain(Ema(0.99), Sign(), WeightDecay(1e-3), LearningRate(RATE)),
    ),
    "lion with its decays exchanged": (
        (papers.lion, {}),
        lambda: adamx.lion(RATE, 0.99, 0.9),
    ),
}
