"""Rows of the table."""

import adamx
from adamx.parts import EpsBeforeCorrection
from tests import papers
from tests.table.row import RATE, Member, Variant

FALLING = {"learning_rate": lambda k: RATE / (1.0 + 0.1 * k)}

ROWS = (
    Member(
        "adamd",
        (Variant(""), Variant("coarse", {"b1": 0.6, "b2": 0.9, "eps": 1e-2})),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
    Member(
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

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "adamd with the mean corrected": ((papers.adamd, {}), lambda: adamx.adam(RATE)),
    "adamd with eps before the correction": (
        (papers.adamd, {}),
        lambda: adamx.adamd(RATE, eps=EpsBeforeCorrection(1e-8)),
    ),
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
        lambda: adamx.adamc(**FALLING, max_learning_rate=RATE, normalized="^none$"),
    ),
}

# Published forms that are a part exchanged, each in one line.
COMPOSED = {
    "adamc at a constant rate": (lambda: adamx.adamc(RATE), papers.adamc, {}),
    "adamc where nothing is normalised": (
        lambda: adamx.adamc(**FALLING, max_learning_rate=RATE, normalized="^none$"),
        papers.adamw,
        {**FALLING, "weight_decay": 1e-2},
    ),
}
