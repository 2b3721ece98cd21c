"""The row of gpa around Adam, tested as it is trained, at y.

`float32_bound` as in schedule_free.py; measured: 108.2.
"""

from tests import papers
from tests.table.row import AroundAdam, Variant, trained

from .exemptions import NO_VALUES, RATE_INSIDE

ROWS = (
    AroundAdam(
        "gpa",
        (Variant("", oracle=trained(papers.gpa_adamw)),),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "z"),
        shared=("z_share",),
        float32_bound=115.0,
        exempt=RATE_INSIDE | NO_VALUES,
    ),
)
