"""The row of adagrad."""

import adamx
from adamx.parts import EpsInsideRoot
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adagrad",
        (
            Variant(""),
            Variant("start", {"initial_accumulator": 0.1, "eps": 1e-6}),
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
        lambda: adamx.adagrad(RATE, eps=EpsInsideRoot(1e-10)),
    ),
    "adagrad from another start": (
        (papers.adagrad, {}),
        lambda: adamx.adagrad(RATE, initial_accumulator=0.1),
    ),
    "adagrad that forgets": (
        (papers.adagrad, {}),
        lambda: adamx.rmsprop(RATE, decay=0.999),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adagrad of TensorFlow": (
        lambda: adamx.adagrad(RATE, EpsInsideRoot(1e-7), initial_accumulator=0.1),
        papers.adagrad_tf,
        {},
    ),
}
