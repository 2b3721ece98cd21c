"""The row of param_ema around Adam."""

from tests import papers
from tests.table.row import AroundAdam, Variant, trained

from .exemptions import NO_VALUES, RATE_INSIDE

ROWS = (
    AroundAdam(
        "param_ema",
        (Variant("", oracle=trained(papers.adam_averaged)),),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "average"),
        shared=("average_share", "average_weight"),
        exempt=RATE_INSIDE | NO_VALUES,
    ),
)
