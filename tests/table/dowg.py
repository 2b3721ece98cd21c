"""The row of dowg."""

from tests import papers
from tests.table.row import Optimizer, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, WHOLE_MODEL

ROWS = (
    Optimizer(
        "dowg",
        (Variant("", {"eps": 0.0}, oracle=papers.dowg),),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("square_distance", "weighted_sum"),
        scope="tree",
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_VALUES,
    ),
)
