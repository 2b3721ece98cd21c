"""The row of dowg."""

from tests import papers
from tests.table.row import Optimizer, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, WHOLE_MODEL

ROWS = (
    Optimizer(
        "dowg",
        (
            Variant(
                "",
                oracle=papers.dowg,
                oracle_keywords={"eps": 1e-4, "init_estim_sq_dist": 1e-4},
            ),
            Variant(
                "paper", {"eps": 0.0, "init_estim_sq_dist": 1e-3}, oracle=papers.dowg
            ),
        ),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("square_distance", "weighted_sum"),
        scope="tree",
        exempt=RATE_INSIDE | WHOLE_MODEL | NO_VALUES,
    ),
)
