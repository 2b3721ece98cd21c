"""The row of mars."""

import adamx
from adamx import chain
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

# the one leaf of the check that has two axes, as in the authors' code
MATRICES = {"mars_mask": "matrix"}

ROWS = (
    Optimizer(
        "mars",
        (
            Variant("", oracle="mars_approximate"),
            Variant(
                "coarse",
                {"b1": 0.8, "gamma": 0.1, "eps": 1e-2, "weight_decay": 0.3},
                oracle="mars_approximate",
            ),
            Variant(
                "matrices",
                {**MATRICES, "weight_decay": 0.3},
                oracle="mars_of_matrices",
                oracle_keywords={"weight_decay": 0.3},
            ),
            Variant(
                "matrices-apart",
                {
                    **MATRICES,
                    "adam_learning_rate": 0.01,
                    "adam_b1": 0.8,
                    "adam_b2": 0.9,
                    "adam_eps": 1e-3,
                    "adam_weight_decay": 0.0,
                },
                oracle="mars_of_matrices",
                oracle_keywords={
                    "adam_learning_rate": 0.01,
                    "adam_b1": 0.8,
                    "adam_b2": 0.9,
                    "adam_eps": 1e-3,
                    "adam_weight_decay": 0.0,
                },
            ),
        ),
        hypers=("b1", "b2", "gamma", "eps", "weight_decay"),
        slots=("gradient_before", "mu", "nu"),
        scope="tensor",
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "mars without reduced variance": (
        (papers.mars_approximate, {}),
        lambda: adamx.mars(RATE, gamma=0.0),
    ),
    "mars on every leaf": (
        (papers.mars_of_matrices, {}),
        lambda: adamx.mars(RATE),
    ),
    "mars clipped as one vector": (
        (papers.mars_approximate, {"gamma": 0.0}),
        lambda: chain(
            adamx.parts.ClipByGlobalNorm(1.0), adamx.adam(RATE, b1=0.95, b2=0.99)
        ),
    ),
}
