"""The row of adamp."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import READS_NORM, SHARD

ROWS = (
    Optimizer(
        "adamp",
        (
            Variant(""),
            Variant(
                "projected",
                {"delta": 0.9, "weight_decay": 0.1, "wd_ratio": 0.3, "eps_norm": 1e-3},
            ),
            Variant("nesterov", {"delta": 0.99, "nesterov": True, "b1": 0.8}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | READS_NORM,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamp: never projected": (
        (papers.adamp, {"delta": 0.9}),
        lambda: adamx.adamp(RATE, delta=0.0),
    ),
}
