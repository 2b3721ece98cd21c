"""The row of psgd_kron."""

import numpy as np
from scipy.special import ndtri

import adamx
from adamx.numerics.random_bits import Uniform, key_of, word_of
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

from .exemptions import NO_KINDS, SHARD, SMALLER

NOISE = {
    "test_the_negative_gradient_gives_the_negative_update": (
        "the noise in its fit keeps its sign"
    )
}
PATHS = {2: "matrix", 1: "vector", 0: "scalar"}


def probe(k, shape):
    """The normal numbers that adamx draws, which are any to the paper."""
    key = key_of(k + 1, word_of(PATHS[len(shape)]))
    return ndtri(np.asarray(Uniform(key)(shape), np.float64))


def oracle(theta, *given, **keywords):
    return papers.psgd_kron(theta, *given, probe=probe, **keywords)


HEAVY = {"weight_decay": 0.1, "preconditioner_update_probability": 0.4, "damping": 0.1}

ROWS = (
    Optimizer(
        "psgd_kron",
        (
            Variant("", oracle=oracle),
            Variant(
                "one-diagonal",
                {**HEAVY, "memory_save_mode": "one_diag"},
                oracle=oracle,
                oracle_keywords={**HEAVY, "diagonal": (0,)},
            ),
            Variant(
                "diagonal",
                {"memory_save_mode": "all_diag", "preconditioner_init_scale": 0.1},
                oracle=oracle,
                oracle_keywords={"diagonal": (0, 1), "start": 0.1},
            ),
        ),
        hypers=("b1", "preconditioner_lr", "weight_decay"),
        slots=("mu", "left_factor", "right_factor"),
        shared=("waited",),
        scope="tensor",
        exempt=SHARD | SMALLER | NO_KINDS | NOISE,
        # 8.1 measured: each fit multiplies Q, so that 200 of them gather roundings
        float32_bound=16.0,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "psgd_kron: fitted in every second step": (
        (oracle, {}),
        lambda: adamx.psgd_kron(RATE, preconditioner_update_probability=0.5),
    ),
    "psgd_kron: without the noise": (
        (oracle, {}),
        lambda: adamx.psgd_kron(RATE, damping=0.0),
    ),
    "psgd_kron: not clipped": (
        (oracle, {}),
        lambda: adamx.psgd_kron(RATE, clipping_threshold=1e3),
    ),
    "psgd_kron: diagonal": (
        (oracle, {}),
        lambda: adamx.psgd_kron(RATE, max_size_triangular=1),
    ),
}
