"""The row of novograd."""

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Identity,
    LearningRate,
    Momentum,
    Precondition,
    RootPlusEps,
)
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import SHARD

SCALAR = {
    name: "its nu is one number a leaf: test_sharded_and_stacked.py has it"
    for name in (
        "test_init_keeps_the_sharding_of_the_parameters",
        "test_init_keeps_the_sharding_without_a_mesh_in_scope",
    )
}

NOVOGRAD = {"b1": 0.9, "b2": 0.25, "eps": 1e-6}  # Optax's

ROWS = (
    Optimizer(
        "novograd",
        (
            # the ε of scale_by_novograd is another, as in Optax
            Variant(
                "",
                {"eps": 1e-6},
                oracle_keywords=NOVOGRAD,
                in_optax=optax.novograd,
            ),
            Variant(
                "averaging",
                {"averaging": True, "b1": 0.95, "b2": 0.98, "weight_decay": 0.1},
                oracle_keywords={"averaging": True, "eps": 1e-6, "weight_decay": 0.1},
            ),
            Variant(
                "authors",
                {"b1": 0.95, "b2": 0.98, "eps": adamx.parts.EpsInsideRoot(1e-8)},
                oracle_keywords={"eps": 0.0, "eps_root": 1e-8},
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        scope="tensor",
        exempt=SHARD | SCALAR,
        # A scalar over its norm is 1 or -1, and two steps leave 9e-4 of each other, of
        # which the rounding of 1 is 3e-5; measured: 219.6 units, of 8.
        amplifies=30.0,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "novograd: the second moment from zero": (
        (papers.novograd, {}),
        lambda: chain(
            Precondition(
                Identity(),
                by=RootPlusEps(Debiased(adamx.optimizers.NormEma(0.98)), 1e-8),
            ),
            Momentum(0.95),
            LearningRate(RATE),
        ),
    ),
}
