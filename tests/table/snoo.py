"""The row of snoo around Adam.

`float32_bound` as in schedule_free.py; measured: 76.0 (diloco).
"""

import adamx
from tests import papers
from tests.table.row import RATE, AroundAdam, Variant, trained

from .exemptions import NO_VALUES, RATE_INSIDE

OFTEN = {"sync_period": 5, "outer_learning_rate": 0.7, "outer_momentum": 0.9}

FOLLOWED = trained(papers.snoo_adam)

ROWS = (
    AroundAdam(
        "snoo",
        (
            Variant("", oracle=FOLLOWED),
            Variant("diloco", OFTEN, oracle=FOLLOWED),
        ),
        hypers=("b1", "b2", "eps", "outer_learning_rate", "outer_momentum"),
        slots=("mu", "nu", "slow", "slow_momentum"),
        shared=("slow_share",),
        float32_bound=80.0,
        exempt=RATE_INSIDE | NO_VALUES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "snoo: no outer momentum": (
        (FOLLOWED, OFTEN),
        lambda: adamx.lookahead(adamx.adam(RATE), 5, 0.7),
    ),
    "snoo: an outer step more seldom": (
        (FOLLOWED, OFTEN),
        lambda: adamx.snoo(adamx.adam(RATE), **{**OFTEN, "sync_period": 6}),
    ),
}
