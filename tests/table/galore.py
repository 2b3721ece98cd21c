"""The row of galore.

The tree of the oracle check has one matrix, (3, 2), under the path `matrix`; at rank 1
it is projected, at the default ranks all leaves are Adam's. That holds for fira and
apollo too.
"""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER

LOW = {"rank": 1, "update_proj_gap": 7}

ROWS = (
    Optimizer(
        "galore",
        (
            Variant("", oracle="galore_or_adam", oracle_keywords={"rank": 128}),
            Variant(
                "rank-1",
                LOW,
                oracle="galore_or_adam",
                oracle_keywords={**LOW, "scale": 1.0},
            ),
            Variant("paper", {**LOW, "scale": 0.25}, oracle="galore_or_adam"),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "projection"),
        scope="tensor",
        exempt=SHARD | SMALLER,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "galore: never projected anew": (
        (papers.galore_or_adam, LOW | {"scale": 1.0}),
        lambda: adamx.galore(RATE, 1, 200),
    ),
}
