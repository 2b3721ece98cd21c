"""The row of adamc."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adamc",
        (
            Variant("", {"max_learning_rate": 0.1}),
            Variant(
                "heavy", {"max_learning_rate": 0.05, "weight_decay": 0.3, "eps": 1e-4}
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay", "max_learning_rate"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
)


def nothing(path, leaf):
    return False


FALLING = {"learning_rate": lambda k: RATE / (1.0 + 0.1 * k)}

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamc with the decay of adamw": (
        (papers.adamc, {**FALLING, "max_learning_rate": RATE}),
        lambda: adamx.adamw(FALLING["learning_rate"]),
    ),
    "adamc measured by another rate": (
        (papers.adamc, {**FALLING, "max_learning_rate": RATE}),
        lambda: adamx.adamc(**FALLING, max_learning_rate=1.1 * RATE),
    ),
    "adamc that spares what it corrects": (
        (papers.adamc, {**FALLING, "max_learning_rate": RATE}),
        lambda: adamx.adamc(**FALLING, max_learning_rate=RATE, normalized=nothing),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adamc at a constant rate": (lambda: adamx.adamc(RATE), papers.adamc, {}),
    "adamc where nothing is normalised": (
        lambda: adamx.adamc(**FALLING, max_learning_rate=RATE, normalized=nothing),
        papers.adamw,
        {**FALLING, "weight_decay": 1e-2},
    ),
}
