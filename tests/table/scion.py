"""The row of scion: a norm for hidden matrices, one for the ends, one for the rest."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .muon import AMPLIFIES

# The default radii are for rates such as 2**-12. At RATE a step of 50 is 2.5, larger
# than the parameters, and a rounding grows in each step: 1e-12 becomes 4 in 66 steps.
BALLS = {"radius": 1.0, "output_radius": 3.0}
ENDS = {"hidden_mask": adamx.optimizers.is_embedding}  # there is none


ROWS = (
    Optimizer(
        "scion",
        (
            Variant("", BALLS, oracle_keywords={**BALLS, "out_axis": 1}),
            Variant(
                "torch-layout",
                {**BALLS, "out_axis": 0, "weight_decay": 0.0, "beta": 0.5},
            ),
            Variant(
                "ends",
                {**BALLS, **ENDS},
                oracle_keywords={**BALLS, "output": True, "out_axis": 1},
            ),
        ),
        hypers=("beta", "weight_decay"),
        slots=("momentum",),
        scope="tensor",
        exempt=SHARD | SMALLER,
        amplifies=AMPLIFIES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "scion: out and in exchanged": (
        (papers.scion, {**BALLS, "out_axis": 1}),
        lambda: adamx.scion(RATE, **BALLS, out_axis=0),
    ),
    "scion: the sign of a hidden matrix": (
        (papers.scion, {**BALLS, "out_axis": 1}),
        lambda: adamx.scion(RATE, **BALLS, **ENDS),
    ),
    "scion: not constrained": (
        (papers.scion, {**BALLS, "out_axis": 1}),
        lambda: adamx.scion(RATE, **BALLS, weight_decay=0.0),
    ),
}
