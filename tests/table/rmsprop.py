"""The row of rmsprop."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    EpsOutsideRoot,
    Identity,
    LearningRate,
    Momentum,
    Precondition,
    RootPlusEps,
    square,
)
from tests import papers
from tests.table.hyperparameters import SCHEDULES
from tests.table.row import RATE, Optimizer, Variant

from .adam import EPS, SCHEDULED_RATE

ROWS = (
    Optimizer(
        "rmsprop",
        (
            Variant("", oracle="rmsprop_tf", in_optax=optax.rmsprop),
            Variant(
                "outside",
                {"eps": EpsOutsideRoot(EPS), "momentum": None},
                oracle_keywords={},
                in_optax=functools.partial(optax.rmsprop, eps_in_sqrt=False),
            ),
            Variant(
                "centered",
                {"centered": True, "eps": 1e-4},
                oracle="rmsprop_tf",
                in_optax=functools.partial(
                    optax.rmsprop,
                    decay=0.9,
                    eps=1e-4,
                    centered=True,
                ),
            ),
            Variant(
                "momentum",
                {"momentum": 0.8, "decay": 0.95},
                oracle="rmsprop_tf",
                in_optax=functools.partial(optax.rmsprop, decay=0.95, momentum=0.8),
            ),
            Variant(
                "all",
                {"centered": True, "momentum": 0.8, "eps": 1e-3},
                oracle="rmsprop_tf",
            ),
        ),
        hypers=("decay", "eps", "momentum"),
        slots=("nu",),
        scale_free_from=1,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "rmsprop corrected": (
        (papers.rmsprop_tf, {}),
        lambda: chain(
            Precondition(
                Identity(),
                by=RootPlusEps(
                    Debiased(Ema(0.9, of=square, name="nu")), EPS, inside=True
                ),
            ),
            LearningRate(RATE),
        ),
    ),
    "rmsprop with eps inside": (
        (papers.rmsprop, {}),
        lambda: adamx.rmsprop(RATE, eps=EPS),
    ),
    "rmsprop not centred": (
        (papers.rmsprop_tf, {"centered": True}),
        lambda: adamx.rmsprop(RATE),
    ),
    "momentum after a changing rate": (
        (papers.rmsprop, {"momentum": 0.8, **SCHEDULED_RATE}),
        lambda: chain(
            adamx.scale_by_rmsprop(eps=EpsOutsideRoot(EPS)),
            LearningRate(SCHEDULES["learning_rate"]),
            Momentum(0.8),
        ),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "rmsprop of torch": (
        lambda: chain(
            adamx.scale_by_rmsprop(eps=EpsOutsideRoot(1e-4), momentum=0.8),
            LearningRate(SCHEDULES["learning_rate"]),
        ),
        papers.rmsprop,
        {
            "eps": 1e-4,
            "momentum": 0.8,
            "learning_rate": SCHEDULES["learning_rate"],
        },
    ),
}
