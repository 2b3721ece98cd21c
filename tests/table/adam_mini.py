"""The row of adam_mini."""

import adamx
from tests import papers
from tests.papers.adam_mini import by_columns
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

ROWS = (
    Optimizer(
        "adam_mini",
        (
            Variant("", oracle_keywords={"blocks": by_columns}),
            Variant(
                "one-block", {"blocks": adamx.optimizers.one_block}, oracle_keywords={}
            ),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                oracle_keywords={
                    "weight_decay": 0.3,
                    "b2": 0.99,
                    "eps": 1e-4,
                    "blocks": by_columns,
                },
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | SMALLER,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adam_mini: blocks across the wrong axis": (
        (papers.adam_mini, {"blocks": by_columns}),
        lambda: adamx.adam_mini(RATE, blocks=adamx.optimizers.by_row),
    ),
}
