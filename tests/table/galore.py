"""Rows of the table.

The tree of the oracle check has one matrix, (3, 2), under the path `matrix`; at rank 1
it is projected, at the default ranks all leaves are Adam's.
"""

import jax.numpy as jnp
import numpy as np

import adamx
from tests import papers
from tests.table.row import RATE, Member, Variant

from .adafactor import NO_KINDS, SHARD, SMALLER, STATIC

LOW = {"rank": 1, "update_proj_gap": 7}


def drawn(k, g):
    """The projection that the member draws in step k, (m, 1)."""
    shape = (g.shape[0], 1)
    return np.asarray(
        adamx.optimizers.random_projection(0, "matrix", k // 7, shape, jnp.float64)
    )


DRAWN = {"update_proj_gap": 7, "projection": drawn}
FREE = {"growth": None, "eps_norm": 1e-3}

PATHS = {
    "test_holes_in_the_tree_stay_holes": (
        "the projection is drawn from the path, which the holes make longer"
    )
}

ROWS = (
    Member(
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
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC,
    ),
    Member(
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
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC | NO_KINDS,
    ),
    Member(
        "apollo",
        (
            Variant("", oracle="apollo_or_adam", oracle_keywords={"rank": 256}),
            Variant(
                "rank-1",
                {**LOW, **FREE},
                oracle="apollo_or_adam",
                oracle_keywords={**DRAWN, **FREE},
            ),
            Variant(
                "limited",
                LOW,
                oracle="apollo_or_adam",
                oracle_keywords={**DRAWN, "eps_norm": 1e-8},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "length"),
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC,
    ),
    Member(
        "apollo_mini",
        (
            Variant(
                "",
                {"update_proj_gap": 7, **FREE},
                oracle="apollo_mini_or_adam",
                oracle_keywords={**DRAWN, **FREE},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "length"),
        reach="per tensor",
        exempt=SHARD | SMALLER | STATIC | PATHS,
    ),
)

MUTANTS = {
    "galore: never projected anew": (
        (papers.galore_or_adam, LOW | {"scale": 1.0}),
        lambda: adamx.galore(RATE, 1, 200),
    ),
    "fira: the rest of the gradient dropped": (
        (papers.fira_or_adam, LOW | {"growth": None}),
        lambda: adamx.galore(RATE, 1, 7, eps=adamx.parts.EpsBeforeCorrection(1e-8)),
    ),
    "apollo: one factor for the tensor": (
        (papers.apollo_or_adam, DRAWN | FREE),
        lambda: adamx.apollo(RATE, 1, 7, by_tensor=True, **FREE),
    ),
    "apollo_mini: another seed": (
        (papers.apollo_mini_or_adam, DRAWN | FREE),
        lambda: adamx.apollo_mini(RATE, 7, seed=1, **FREE),
    ),
}
