"""The row of yogi."""

import optax

import adamx
from adamx.optimizers import YogiMoment
from adamx.parts import Debiased, Ema, EpsBeforeCorrection, square
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .adabelief import adam_of


def optax_yogi_from_zero(learning_rate):
    """Optax starts m where it starts v; at 0 the two agree."""
    return optax.chain(
        optax.scale_by_yogi(initial_accumulator_value=0.0),
        optax.scale_by_learning_rate(learning_rate),
    )


ROWS = (
    Optimizer(
        # v moves by small steps, and is rounded at each: measured 10.7 from 0.1.
        "yogi",
        (
            Variant(
                "",  # the laws are about a state that starts at zero
                {"initial_accumulator": 0.0},
                in_optax=optax_yogi_from_zero,
            ),
            Variant("default", in_optax=optax.yogi),
            Variant("start", {"initial_accumulator": 0.1, "b2": 0.9}),
            Variant(
                "paper",
                {"bias_correction": False, "initial_accumulator": 0.0},
                oracle="yogi_paper",
                oracle_keywords={"initial_accumulator": 0.0},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        float32_bound=12.0,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "yogi with an average": (
        (papers.yogi, {"initial_accumulator": 0.0}),
        lambda: adam_of(Debiased(Ema(0.999, square, "nu")), 1e-3),
    ),
    "yogi from zero": (
        (papers.yogi, {}),
        lambda: adamx.yogi(RATE, initial_accumulator=0.0),
    ),
    "yogi with its first moment from zero": (
        (papers.yogi, {}),
        lambda: adam_of(Debiased(YogiMoment(square, "nu", 1e-6)), 1e-3),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "yogi of TensorFlow": (
        lambda: adam_of(
            Debiased(YogiMoment(square, "nu", 1e-6)), EpsBeforeCorrection(1e-3)
        ),
        papers.yogi_official,
        {},
    ),
}
