"""The row of dog."""

from tests import papers
from tests.table.row import Member, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, WHOLE_MODEL

ROWS = (
    Member(
        "dog",
        (Variant("", oracle=papers.dog),),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("distance", "sum_of_square_norms"),
        reach="global",
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_VALUES,
    ),
)
