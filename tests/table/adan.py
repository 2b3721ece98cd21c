"""The row of adan."""

import adamx
from adamx import chain
from adamx.parts import LearningRate, ProximalWeightDecay
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adan",
        (
            # Optax has 1 - b2 where b2 is right
            Variant(
                "",  # the authors' code
                {"eps_root": 0.0},
                oracle="adan_official",
                oracle_keywords={"no_prox": True},
            ),
            Variant(
                "root",  # the default
                oracle="adan_official",
                oracle_keywords={"no_prox": True, "eps_root": 1e-8},
            ),
            Variant(
                "coarse",
                {"b1": 0.9, "b3": 0.9, "eps": 1e-2, "weight_decay": 0.3},
                oracle="adan_official",
                oracle_keywords={
                    "b1": 0.9,
                    "b3": 0.9,
                    "eps": 1e-2,
                    "eps_root": 1e-8,
                    "weight_decay": 0.3,
                    "no_prox": True,
                },
            ),
        ),
        hypers=("b1", "b2", "b3", "eps", "weight_decay"),
        slots=("mu", "difference", "nu", "gradient_before"),
        scale_free_from=1,
    ),
)

WEIGHT = 0.2

STEPWISE = {"learning_rate": lambda k: 0.05 / (1.0 + 0.1 * k), "weight_decay": WEIGHT}

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adan with a decay in the step": (
        (papers.adan_official, {"weight_decay": 0.3, "eps_root": 1e-8}),
        lambda: adamx.adan(RATE, weight_decay=0.3),
    ),
    "adan from the first readings": (
        (papers.adan_official, {"eps_root": 1e-8}),
        lambda: adamx.adan(RATE, from_first=True),
    ),
    "adan without differences": (
        (papers.adan_official, {"eps_root": 1e-8}),
        lambda: adamx.adan(RATE, b2=0.0),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adan of its authors' code": (
        lambda: chain(
            adamx.scale_by_adan(eps_root=0.0),
            LearningRate(STEPWISE["learning_rate"]),
            ProximalWeightDecay(WEIGHT, learning_rate=STEPWISE["learning_rate"]),
        ),
        papers.adan_official,
        STEPWISE,
    ),
    "adan of its paper": (
        lambda: chain(
            adamx.scale_by_adan(eps_root=1e-8, from_first=True),
            LearningRate(STEPWISE["learning_rate"]),
            ProximalWeightDecay(WEIGHT, learning_rate=STEPWISE["learning_rate"]),
        ),
        papers.adan,
        {**STEPWISE, "eps_root": 1e-8},
    ),
}
