"""The row of sgd."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import Ema, LearningRate
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "sgd",
        (
            Variant("", in_optax=optax.sgd),
            Variant(
                "momentum",
                {"momentum": 0.9},
                in_optax=functools.partial(optax.sgd, momentum=0.9),
            ),
            Variant(
                "nesterov",
                {"momentum": 0.9, "nesterov": True},
                in_optax=functools.partial(optax.sgd, momentum=0.9, nesterov=True),
            ),
            Variant("dampening", {"momentum": 0.8, "dampening": 0.3}),
        ),
        hypers=("momentum", "dampening"),
        slots=(),
    ),
)

NESTEROV = (papers.sgd, {"momentum": 0.9, "nesterov": True})

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "Nesterov dropped": (NESTEROV, lambda: adamx.sgd(RATE, 0.9)),
    "momentum dropped": (NESTEROV, lambda: adamx.sgd(RATE)),
    "dampening of the first step": (
        (papers.sgd, {"momentum": 0.9, "dampening": 0.1}),
        lambda: chain(Ema(0.9, name="momentum"), LearningRate(RATE)),
    ),
}
