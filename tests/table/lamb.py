"""The row of lamb."""

import functools

import optax

from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    LearningRate,
    Precondition,
    RootPlusEps,
    TrustRatio,
    WeightDecay,
    square,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import READS_NORM, SHARD

ROWS = (
    Optimizer(
        "lamb",
        (
            Variant("", in_optax=optax.lamb),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                in_optax=functools.partial(
                    optax.lamb, weight_decay=0.3, b2=0.99, eps=1e-4
                ),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | READS_NORM,
    ),
)


def _adam():
    second = Debiased(Ema(0.999, square, "nu"))
    return Precondition(Debiased(Ema(0.9)), by=RootPlusEps(second, 1e-6))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "lamb: decay after the ratio": (
        (papers.lamb, {"weight_decay": 0.1}),
        lambda: chain(_adam(), TrustRatio(), WeightDecay(0.1), LearningRate(RATE)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "lamb of its authors' code, without correction": (
        lambda: chain(
            Precondition(Ema(0.9), by=RootPlusEps(Ema(0.999, square, "nu"), 1e-6)),
            WeightDecay(0.1),
            TrustRatio(),
            LearningRate(RATE),
        ),
        papers.lamb,
        {"weight_decay": 0.1, "debias": False},
    ),
}
