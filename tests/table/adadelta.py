"""The row of adadelta."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import LearningRate, WeightDecay
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adadelta",
        (
            Variant("", in_optax=optax.adadelta),
            Variant(
                "coarse",
                {"rho": 0.6, "eps": 1e-2},
                in_optax=functools.partial(optax.adadelta, rho=0.6, eps=1e-2),
            ),
        ),
        hypers=("rho", "eps"),
        slots=("nu", "squared_steps"),
        exempt={
            "test_the_second_moment_follows_bfloat16_gradients_that_shrink": (
                "its steps have a length of their own"
            ),
        },
        # The steps feed on themselves, and are rounded at each of them.
        float32_bound=6.0,  # measured: 4.1
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adadelta with a decoupled decay": (
        (papers.adadelta, {"weight_decay": 0.3}),
        lambda: chain(adamx.scale_by_adadelta(), WeightDecay(0.3), LearningRate(RATE)),
    ),
    "adadelta with eps outside the roots": (
        (papers.adadelta, {}),
        lambda: adamx.adadelta(RATE, eps=adamx.parts.EpsOutsideRoot(1e-6)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adadelta with its coupled decay": (
        lambda: adamx.adadelta(RATE, weight_decay=0.3),
        papers.adadelta,
        {"weight_decay": 0.3},
    ),
}
