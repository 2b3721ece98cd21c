"""The row of prodigy."""

import functools

from tests import papers
from tests.table.row import Optimizer, Variant

from .exemptions import NO_KINDS, NO_VALUES, RATE_INSIDE, UNCOUNTED, WHOLE_MODEL

ROWS = (
    Optimizer(
        "prodigy",
        (
            # r is of θ_0 - θ, which has the rounding of θ: from 0.01 the laws' four
            # steps leave it 1,261 units of float32 off (measured), from 1 ten.
            Variant(
                "",
                {"estim_lr0": 1.0},
                oracle=functools.partial(papers.prodigy_official, bias_correction=True),
            ),
            Variant(
                "from a hundredth",
                {"estim_lr0": 1e-2},
                oracle=functools.partial(papers.prodigy_official, bias_correction=True),
            ),
        ),
        hypers=("eps", "weight_decay"),
        slots=("mu", "nu", "s", "start"),
        shared=("r", "b1_weight", "b2_weight", "d"),
        scope="tree",
        amplifies=2.0,  # for the same reason
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_VALUES | NO_KINDS | UNCOUNTED,
    ),
)
