"""The row of lookahead around Adam.

`float32_bound` as in schedule_free.py; measured: 61.0.
"""

from tests import papers
from tests.table.row import AroundAdam, Variant, trained

from .exemptions import NO_VALUES, RATE_INSIDE

ROWS = (
    AroundAdam(
        "lookahead",
        (
            Variant(
                "",
                oracle=trained(papers.lookahead_adam),
                oracle_keywords={"slow_step_size": 0.8},
            ),
            Variant(
                "half",
                {"slow_step_size": 0.5},
                oracle=trained(papers.lookahead_adam),
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "slow"),
        shared=("slow_share",),
        float32_bound=65.0,
        exempt=RATE_INSIDE | NO_VALUES,
    ),
)
