"""The rows of ademamix and simplified_ademamix."""

import functools

import optax

import adamx
from adamx import schedule
from tests import papers
from tests.papers.ademamix import alpha_schedule, b3_schedule
from tests.table.row import RATE, Optimizer, Variant

NOT_ONE = {
    "test_the_second_moment_follows_bfloat16_gradients_that_shrink": (
        "a steady gradient gives a step longer than the rate"
    ),
}


# A sum over a hundred steps, rounded at each of them.
LONG_SUM = 10.0  # measured: 9.1

ROWS = (
    Optimizer(
        "ademamix",
        (
            # the alpha of scale_by_ademamix is another, as in Optax
            Variant("", {"alpha": 5.0}, in_optax=optax.contrib.ademamix),
            Variant(
                "coarse",
                {"b1": 0.6, "b3": 0.99, "alpha": 2.0, "weight_decay": 0.3},
                # no counterpart: Optax's 1 - b**t is 7e-5 off where two means cancel
            ),
        ),
        hypers=("b1", "b2", "b3", "alpha", "eps", "weight_decay"),
        slots=("mu", "mu_slow", "nu"),
        scale_free_from=1,
        exempt=NOT_ONE,
    ),
    Optimizer(
        "simplified_ademamix",
        (
            Variant("", in_optax=optax.contrib.simplified_ademamix),
            Variant(
                "coarse",
                {"b1": 0.6, "alpha": 2.0, "weight_decay": 0.3},
                in_optax=functools.partial(
                    optax.contrib.simplified_ademamix,
                    b1=0.6,
                    alpha=2.0,
                    weight_decay=0.3,
                ),
            ),
            Variant("corrected", {"bias_correction1": True, "alpha": 2.0}),
        ),
        hypers=("b1", "b2", "alpha", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        exempt=NOT_ONE,
        float32_bound=LONG_SUM,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "ademamix without its slow average": (
        (papers.ademamix, {}),
        lambda: adamx.ademamix(RATE, alpha=0.0),
    ),
    "ademamix with its averages exchanged": (
        (papers.ademamix, {}),
        lambda: adamx.ademamix(RATE, b1=0.9999, b3=0.9),
    ),
    "ademamix warmed up a step late": (
        (papers.ademamix, {"alpha": alpha_schedule(5.0, 40)}),
        lambda: adamx.ademamix(RATE, alpha=lambda k: 5.0 * k / 40),
    ),
    "simplified ademamix corrected": (
        (papers.simplified_ademamix, {}),
        lambda: adamx.simplified_ademamix(RATE, bias_correction1=True),
    ),
    "simplified ademamix with a mean": (
        (papers.simplified_ademamix, {}),
        lambda: adamx.simplified_ademamix(RATE * (1 - 0.99)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "ademamix warmed up as in its paper": (
        lambda: adamx.ademamix(
            RATE,
            alpha=schedule(adamx.optimizers.alpha_warmup, alpha=5.0, warmup=40),
            b3=schedule(adamx.optimizers.b3_warmup, b3=0.999, warmup=40),
        ),
        papers.ademamix,
        {
            "alpha": alpha_schedule(5.0, 40),
            "b3": b3_schedule(0.999, 40),
        },
    ),
}
