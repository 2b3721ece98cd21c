"""The row of came."""

import adamx
from adamx import chain
from adamx.parts import (
    Ema,
    FactoredSecondMoment,
    Identity,
    LearningRate,
    Precondition,
    RootPlusEps,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER

STEEP = {
    "test_the_derivative_through_updates_at_a_zero_gradient_is_finite": (
        "its ε of 1e-30 and 1e-16 stand in squares: 1 / ε² is beyond float32"
    )
}

COARSE = {
    "test_inject_hyperparams": "1 - b3 of a float32 array is off by 3e-4 at b3=.9999",
}

ROWS = (
    Optimizer(
        "came",
        (
            Variant(""),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b3": 0.99, "clipping_threshold": 0.5},
            ),
        ),
        hypers=("b1", "b2", "b3", "eps", "weight_decay"),
        slots=("mu", "nu", "nu_row", "nu_col", "instability_row", "instability_col"),
        scope="tensor",
        exempt=SHARD | SMALLER | NO_KINDS | COARSE | STEEP,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "came: confidence in the update, not in its surprise": (
        (papers.came, {}),
        lambda: chain(
            Precondition(Identity(), by=RootPlusEps(FactoredSecondMoment(0.999), 0.0)),
            adamx.parts.ClipByRms(1.0),
            Precondition(
                Ema(0.9),
                by=RootPlusEps(
                    FactoredSecondMoment(
                        0.9999, name="other", eps=1e-16, keep_whole=False
                    ),
                    0.0,
                ),
            ),
            LearningRate(RATE),
        ),
    ),
}
