"""The rows of adamax and adamaxw."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import Debiased, Ema, LearningRate, Precondition, RootPlusEps, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

# u is multiplied by b2 at every step, and rounded as often.
FADING = 9.0  # measured: 8.0

ROWS = (
    Optimizer(
        "adamax",
        (
            Variant("", in_optax=optax.adamax),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2},
                in_optax=functools.partial(optax.adamax, b1=0.6, b2=0.9, eps=1e-2),
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
        float32_bound=FADING,
    ),
    Optimizer(
        "adamaxw",
        (
            Variant("", in_optax=optax.adamaxw),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99},
                in_optax=functools.partial(optax.adamaxw, weight_decay=0.3, b2=0.99),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        float32_bound=FADING,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamax with a corrected denominator": (
        (papers.adamax, {"b2": 0.9}),
        lambda: chain(
            Precondition(
                Debiased(Ema(0.9)), by=Debiased(adamx.optimizers.DecayedMax(0.9, 1e-8))
            ),
            LearningRate(RATE),
        ),
    ),
    "adamaxw with its decay scaled by the denominator": (
        (papers.adamaxw, {"weight_decay": 0.1}),
        lambda: chain(
            Precondition(
                chain(Debiased(Ema(0.9)), adamx.parts.WeightDecay(0.1)),
                by=adamx.optimizers.DecayedMax(0.999, 1e-8),
            ),
            LearningRate(RATE),
        ),
    ),
    "adamax with the mean square": (
        (papers.adamax, {}),
        lambda: chain(
            Precondition(Debiased(Ema(0.9)), by=RootPlusEps(Ema(0.999, square, "nu"))),
            LearningRate(RATE),
        ),
    ),
}
