"""The row of adagrad."""

import functools

import optax

import adamx
from adamx.parts import EpsOutsideRoot
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

TORCH = {"initial_accumulator": 0.0, "eps": EpsOutsideRoot(1e-10)}

ROWS = (
    Optimizer(
        "adagrad",
        (
            Variant("", oracle="adagrad_tf", in_optax=optax.adagrad),
            Variant(
                "start",
                {"initial_accumulator": 0.5, "eps": 1e-6},
                oracle="adagrad_tf",
                in_optax=functools.partial(
                    optax.adagrad, initial_accumulator_value=0.5, eps=1e-6
                ),
            ),
            Variant("torch", TORCH, oracle_keywords={}),
        ),
        hypers=("eps",),
        slots=("sum_of_squares",),
        scale_free_from=1,
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adagrad with eps inside": (
        (papers.adagrad, {}),
        lambda: adamx.adagrad(RATE, 0.0, 1e-10),
    ),
    "adagrad from another start": (
        (papers.adagrad, {}),
        lambda: adamx.adagrad(RATE, eps=EpsOutsideRoot(1e-10)),
    ),
    "adagrad that forgets": (
        (papers.adagrad, {}),
        lambda: adamx.rmsprop(RATE, decay=0.999, eps=EpsOutsideRoot(1e-10)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adagrad of its paper": (
        lambda: adamx.adagrad(RATE, 0.0, EpsOutsideRoot(1e-10)),
        papers.adagrad,
        {},
    ),
}
