"""The row of dadapt_adamw."""

import functools

from tests import papers
from tests.table.row import Optimizer, Variant

from .exemptions import NO_KINDS, RATE_INSIDE, UNCOUNTED, WHOLE_MODEL

ROWS = (
    Optimizer(
        "dadapt_adamw",
        (
            Variant(
                "",
                {"estim_lr0": 1e-2},
                oracle=functools.partial(
                    papers.d_adapt_adam_official, bias_correction=True
                ),
            ),
        ),
        hypers=("eps", "weight_decay"),
        slots=("mu", "nu", "s"),
        shared=("r", "b1_weight", "b2_weight", "d"),
        scope="tree",
        float32_bound=6.0,  # measured: 5.2
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_KINDS | UNCOUNTED,
    ),
)
