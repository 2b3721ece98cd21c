"""The row of laprop."""

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    LearningRate,
    Precondition,
    RootPlusEps,
    WeightDecayAfterStep,
    square,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "laprop",
        (
            Variant(""),
            Variant("heavy", {"weight_decay": 0.3, "b2": 0.9, "eps": 1e-3}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("nu", "mu"),
        scale_free_from=1,
        exempt={
            "test_the_derivative_through_updates_at_a_zero_gradient_is_finite": (
                "it is 1 / eps = 1e15 a step, and its cube is beyond float32"
            ),
        },
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "laprop averaged before it is divided": (
        (papers.laprop, {}),
        lambda: adamx.adam(RATE, eps=1e-15),
    ),
    "laprop not corrected": (
        (papers.laprop, {}),
        lambda: chain(
            Precondition(
                adamx.parts.Identity(),
                by=RootPlusEps(Debiased(Ema(0.999, square, "nu")), 1e-15),
            ),
            Ema(0.9),
            LearningRate(RATE),
        ),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "laprop with its authors' decay": (
        lambda: chain(
            adamx.scale_by_laprop(), LearningRate(RATE), WeightDecayAfterStep(0.01)
        ),
        papers.laprop_official,
        {"weight_decay": 0.01},
    ),
}
