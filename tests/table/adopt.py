"""The row of adopt."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import Ema, LearningRate, Precondition, RootPlusEps, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

SKIPS = dict.fromkeys(
    (
        "test_jit_of_update_on_equal_transforms_with_arrays_traces_once",
        "test_arrays_of_a_transform_that_is_an_argument_change_without_a_recompile",
    ),
    "the first step moves nothing, whatever the rate",
)

ROWS = (
    Optimizer(
        "adopt",
        (
            Variant("", in_optax=optax.contrib.adopt),
            Variant(
                "unclipped",
                {"use_clipping": False, "b2": 0.99, "eps": 1e-2},
                in_optax=functools.partial(
                    optax.contrib.adopt, use_clipping=False, b2=0.99, eps=1e-2
                ),
            ),
            Variant("heavy", {"weight_decay": 0.3, "b1": 0.6}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("nu", "mu"),
        scale_free_from=1,
        exempt=SKIPS
        | {
            "test_the_square_of_a_float16_gradient_neither_overflows_nor_vanishes": (
                "the first step moves nothing"
            ),
            "test_the_second_moment_follows_bfloat16_gradients_that_shrink": (
                "b2 = 0.9999 forgets more slowly than the test runs"
            ),
            "test_scale_invariance_as_eps_vanishes": (
                "eps is a maximum: below it the invariance is exact"
            ),
        },
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adopt that divides by the present square": (
        (papers.adopt, {"use_clipping": False}),
        lambda: chain(
            Precondition(
                adamx.parts.Identity(),
                by=RootPlusEps(
                    adamx.parts.InitFromFirst(Ema(0.9999, square, "nu")),
                    adamx.parts.EpsAsFloor(1e-6),
                ),
            ),
            Ema(0.9),
            LearningRate(RATE),
        ),
    ),
    "adopt with a bound that does not grow": (
        (papers.adopt, {}),
        lambda: adamx.adopt(RATE, clip_value_fn=1.0),
    ),
    "adopt with its bound a step ahead": (
        (papers.adopt, {}),
        lambda: adamx.adopt(RATE, clip_value_fn=lambda k: (k + 1) ** 0.25),
    ),
}
