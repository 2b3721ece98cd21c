"""The rows of apollo and apollo_mini."""

import functools

import jax.numpy as jnp
import numpy as np

import adamx
from tests import papers
from tests.papers.galore import adam_elsewhere
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD, SMALLER
from .galore import LOW


def drawn(k, g):
    """The projection that the optimizer draws in step k, (m, 1)."""
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

# the authors' code: Adam with ε̂ for the leaves that are not projected, too
released = functools.partial(
    adam_elsewhere(papers.apollo, papers.adam_eps_hat), eps=1e-6, eps_hat=True
)

ROWS = (
    Optimizer(
        "apollo",
        (
            Variant(
                "",
                oracle="apollo_or_adam",
                oracle_keywords={"rank": 256, "eps": 1e-6},
            ),
            Variant(
                "rank-1",
                {**LOW, **FREE},
                oracle="apollo_or_adam",
                oracle_keywords={**DRAWN, **FREE, "eps": 1e-6},
            ),
            Variant(
                "limited",
                LOW,
                oracle="apollo_or_adam",
                oracle_keywords={**DRAWN, "eps_norm": 1e-8, "eps": 1e-6},
            ),
            Variant(
                "released",
                {**LOW, "scale": 2.0, "released": True},
                oracle=released,
                oracle_keywords={**DRAWN, "eps_norm": 1e-8, "scale": 2.0},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "length"),
        scope="tensor",
        exempt=SHARD | SMALLER,
    ),
    Optimizer(
        "apollo_mini",
        (
            Variant(
                "",
                {"update_proj_gap": 7, **FREE},
                oracle="apollo_mini_or_adam",
                oracle_keywords={**DRAWN, **FREE, "eps": 1e-6},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "length"),
        scope="tensor",
        exempt=SHARD | SMALLER | PATHS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "apollo: one factor for the tensor": (
        (papers.apollo_or_adam, DRAWN | FREE | {"eps": 1e-6}),
        lambda: adamx.apollo(RATE, 1, 7, by_tensor=True, **FREE),
    ),
    "apollo_mini: another seed": (
        (papers.apollo_mini_or_adam, DRAWN | FREE | {"eps": 1e-6}),
        lambda: adamx.apollo_mini(RATE, 7, seed=1, **FREE),
    ),
}
