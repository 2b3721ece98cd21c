"""The row of lars."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import Ema, LearningRate, TrustRatio, WeightDecay
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import READS_NORM, SHARD

ROWS = (
    Optimizer(
        "lars",
        (
            Variant("", oracle_keywords={"norm_of_sum": True}, in_optax=optax.lars),
            Variant(
                "paper",
                {"weight_decay": 0.3, "trust_coefficient": 0.1, "norm_of_sum": False},
            ),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "eps": 1e-3},
                oracle_keywords={"weight_decay": 0.3, "eps": 1e-3, "norm_of_sum": True},
                in_optax=functools.partial(optax.lars, weight_decay=0.3, eps=1e-3),
            ),
        ),
        hypers=("weight_decay", "trust_coefficient", "momentum"),
        slots=("momentum",),
        unscheduled=("trust_coefficient",),
        scope="tensor",
        exempt=SHARD
        | READS_NORM
        | {
            "test_scale_by_is_the_optimizer_without_rate_and_decay": (
                "its rate is inside the momentum, so a ratio of 1 is too"
            ),
            "test_inject_hyperparams": (
                "its rate is inside the momentum: a rate of 0 does not stop it at once"
            ),
        },
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "lars: the norm of the sum": (
        (papers.lars, {"weight_decay": 0.1}),
        lambda: adamx.lars(RATE, 0.1),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "lars as the LAMB paper restates it": (
        lambda: chain(WeightDecay(0.1), Ema(0.9), TrustRatio(), LearningRate(RATE)),
        papers.lars_of_momentum,
        {"weight_decay": 0.1},
    ),
}
