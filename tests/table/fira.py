"""The row of fira."""

import adamx
from adamx import chain
from adamx.parts import LearningRate, WeightDecayAfterStep
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER
from .galore import LOW

EPSILONS = {"eps": 1e-6, "eps_norm": 1e-8}

RELEASED = LOW | EPSILONS | {"released": True}

ROWS = (
    Optimizer(
        "fira",
        (
            Variant(
                "",
                oracle="fira_or_adam",
                oracle_keywords={"rank": 128, **EPSILONS},
            ),
            Variant(
                "rank-1",
                LOW,
                oracle="fira_or_adam",
                oracle_keywords={**LOW, **EPSILONS},
            ),
            Variant(
                "unlimited",
                {**LOW, "growth": None, "scale": 0.5, "eps": 1e-8, "eps_norm": 1e-2},
                oracle="fira_or_adam",
            ),
            Variant(
                "released",
                {**LOW, "scale": 0.25, "released": True},
                oracle="fira_or_adam",
                oracle_keywords={
                    **LOW,
                    **EPSILONS,
                    "scale": 0.25,
                    "released": True,
                },
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "projection", "length"),
        scope="tensor",
        exempt=SHARD | SMALLER | NO_KINDS,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "fira: the rest of the gradient dropped": (
        (papers.fira_or_adam, LOW | EPSILONS | {"growth": None}),
        lambda: adamx.galore(RATE, 1, 7, eps=adamx.parts.EpsBeforeCorrection(1e-6)),
    ),
    "fira: limited after the correction": (
        (papers.fira_or_adam, RELEASED),
        lambda: adamx.fira(RATE, 1, 7),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "fira of its authors' code, with decay": (
        lambda: chain(
            adamx.scale_by_fira(1, 7, 0.25, released=True),
            LearningRate(RATE),
            WeightDecayAfterStep(0.1, "matrix", learning_rate=RATE),
        ),
        papers.fira_or_adam,
        RELEASED | {"scale": 0.25, "weight_decay": 0.1},
    ),
}
