"""The row of fira."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER
from .galore import LOW

ROWS = (
    Optimizer(
        "fira",
        (
            Variant("", oracle="fira_or_adam", oracle_keywords={"rank": 128}),
            Variant("rank-1", LOW, oracle="fira_or_adam"),
            Variant(
                "unlimited",
                {**LOW, "growth": None, "scale": 0.5},
                oracle="fira_or_adam",
            ),
        ),
        hypers=("b1", "b2"),
        slots=("mu", "nu", "projection", "length"),
        scope="tensor",
        exempt=SHARD | SMALLER | NO_KINDS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "fira: the rest of the gradient dropped": (
        (papers.fira_or_adam, LOW | {"growth": None}),
        lambda: adamx.galore(RATE, 1, 7, eps=adamx.parts.EpsBeforeCorrection(1e-8)),
    ),
}
