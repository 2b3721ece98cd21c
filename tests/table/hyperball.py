"""The rows of adamh and muonh: matrices on a sphere, the other leaves by Adam."""

import adamx
from adamx.parts import LearningRate, TrustRatio
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_VALUES, RATE_INSIDE, SHARD, SMALLER
from .muon import AMPLIFIES

ROWS = (
    Optimizer(
        "adamh",
        (
            Variant(""),
            Variant("heavy", {"b1": 0.5, "b2": 0.99, "eps": 1e-4}),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu", "radius"),
        scope="tensor",
        exempt=SHARD | SMALLER | RATE_INSIDE | NO_VALUES,
    ),
    Optimizer(
        "muonh",
        (
            Variant(""),
            Variant("plain", {"nesterov": False, "beta": 0.9}),
        ),
        hypers=("beta",),
        slots=("momentum", "mu", "nu", "radius"),
        scope="tensor",
        exempt=SHARD | SMALLER | RATE_INSIDE | NO_VALUES,
        amplifies=AMPLIFIES,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamh: the norm is not held": (
        (papers.adamh, {}),
        lambda: adamx.chain(
            adamx.scale_by_adam(),
            adamx.Masked(TrustRatio(), lambda path, leaf: leaf.ndim == 2),
            LearningRate(RATE),
        ),
    ),
    "adamh: the step is not normalised": (
        (papers.adamh, {}),
        lambda: adamx.chain(
            adamx.adam(RATE),
            adamx.Masked(adamx.parts.Hyperball(), lambda path, leaf: leaf.ndim == 2),
        ),
    ),
    "muonh: no look-ahead": (
        (papers.muonh, {}),
        lambda: adamx.muonh(RATE, nesterov=False),
    ),
}
