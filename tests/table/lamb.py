"""Rows of the table."""

import functools

import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    Identity,
    LearningRate,
    Momentum,
    Precondition,
    RootPlusEps,
    TrustRatio,
    WeightDecay,
    square,
)
from tests import papers
from tests.table.row import RATE, Member, Variant

SHARD = {
    "test_inside_shard_map": "it needs axis_name: test_sharded_and_stacked.py has it"
}
READS = {
    "test_members_without_decay_need_no_parameters": "it reads their norm",
}
DERIVATIVE = {
    "test_the_derivative_by_each_hyperparameter_is_the_difference_quotient": (
        "it jumps where a threshold is passed"
    )
}
STATIC = {
    name: "its channel_axis is an integer, which inject_hyperparams must be told"
    for name in (
        "test_inject_hyperparams",
        "test_inject_hyperparams_changes_without_a_recompile",
    )
}
SCALAR = {
    name: "its nu is one number a leaf: test_sharded_and_stacked.py has it"
    for name in (
        "test_init_keeps_the_sharding_of_the_parameters",
        "test_init_keeps_the_sharding_without_a_mesh_in_scope",
    )
}
NOVOGRAD = {"b1": 0.9, "b2": 0.25, "eps": 1e-6}  # Optax's

ROWS = (
    Member(
        "lamb",
        (
            Variant("", twin=optax.lamb),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                twin=functools.partial(optax.lamb, weight_decay=0.3, b2=0.99, eps=1e-4),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        reach="per tensor",
        exempt=SHARD | READS,
    ),
    Member(
        "lars",
        (
            Variant("", twin=optax.lars),
            Variant("heavy", {"weight_decay": 0.3, "trust_coefficient": 0.1}),
            Variant(
                "norm-of-sum",
                {"weight_decay": 0.3, "norm_of_sum": True, "eps": 1e-3},
                twin=functools.partial(optax.lars, weight_decay=0.3, eps=1e-3),
            ),
        ),
        hypers=("weight_decay", "trust_coefficient", "momentum"),
        slots=("momentum",),
        unscheduled=("trust_coefficient",),
        reach="per tensor",
        exempt=SHARD
        | READS
        | {
            "test_scale_by_is_the_alias_without_rate_and_decay": (
                "its rate is inside the momentum, so a ratio of 1 is too"
            ),
            "test_inject_hyperparams": (
                "its rate is inside the momentum: a rate of 0 does not stop it at once"
            ),
        },
    ),
    Member(
        "novograd",
        (
            Variant("", oracle_keywords=NOVOGRAD, twin=optax.novograd),
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
        reach="per tensor",
        exempt=SHARD | SCALAR,
        # A scalar over its norm is 1 or -1, and two steps leave 9e-4 of each other, of
        # which the rounding of 1 is 3e-5; measured: 219.6 units, of 8.
        amplifies=30.0,
    ),
    Member(
        "stable_adamw",
        (
            Variant("", oracle_keywords={"weight_decay": 0.2}),
            Variant("light", {"weight_decay": 0.01, "b2": 0.9, "eps": 1e-3}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        reach="per tensor",
        exempt=SHARD | DERIVATIVE,
    ),
    Member(
        "adamp",
        (
            Variant(""),
            Variant(
                "projected",
                {"delta": 0.9, "weight_decay": 0.1, "wd_ratio": 0.3, "eps_norm": 1e-3},
            ),
            Variant("nesterov", {"delta": 0.99, "nesterov": True, "b1": 0.8}),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
        reach="per tensor",
        exempt=SHARD | READS | STATIC,
    ),
)


def _adam():
    second = Debiased(Ema(0.999, square, "nu"))
    return Precondition(Debiased(Ema(0.9)), by=RootPlusEps(second, 1e-6))


MUTANTS = {
    "lamb: decay after the ratio": (
        (papers.lamb, {"weight_decay": 0.1}),
        lambda: chain(_adam(), TrustRatio(), WeightDecay(0.1), LearningRate(RATE)),
    ),
    "lars: the norm of the sum": (
        (papers.lars, {"weight_decay": 0.1}),
        lambda: adamx.lars(RATE, 0.1, norm_of_sum=True),
    ),
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
    "stable_adamw: the decay not shortened": (
        (papers.stable_adamw, {"weight_decay": 0.1}),
        lambda: chain(
            adamx.scale_by_stable_adamw(), WeightDecay(0.1), LearningRate(RATE)
        ),
    ),
    "adamp: never projected": (
        (papers.adamp, {"delta": 0.9}),
        lambda: adamx.adamp(RATE, delta=0.0),
    ),
}

COMPOSED = {
    "lamb of its authors' code, without correction": (
        lambda: chain(
            Precondition(Ema(0.9), by=RootPlusEps(Ema(0.999, square, "nu"), 1e-6)),
            WeightDecay(0.1),
            TrustRatio(),
            LearningRate(RATE),
        ),
        papers.lamb,
        {"weight_decay": 0.1, "debias": False},
    ),
    "lars as the LAMB paper restates it": (
        lambda: chain(WeightDecay(0.1), Ema(0.9), TrustRatio(), LearningRate(RATE)),
        papers.lars_of_momentum,
        {"weight_decay": 0.1},
    ),
}
