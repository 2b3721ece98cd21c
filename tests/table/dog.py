"""The row of dog."""

from tests import papers
from tests.table.row import Optimizer, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, WHOLE_MODEL

ROWS = (
    Optimizer(
        "dog",
        (Variant("", oracle=papers.dog),),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("distance", "sum_of_square_norms"),
        scope="tree",
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_VALUES,
    ),
)
