"""The row of rprop."""

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant

NO_SCHEDULE = "the paper's first step is one number; here a schedule scales all steps"

ROWS = (
    Optimizer(
        "rprop",
        (
            Variant(""),  # Optax's returns the step of the step before
            Variant("close", {"max_step_size": 0.2, "min_step_size": 1e-3}),
            Variant(
                "onward",
                {"pause": False},
                oracle="rprop_minus",
                oracle_keywords={},
            ),
            Variant(
                "back",
                {"backtrack": True},
                oracle="rprop_plus",
                oracle_keywords={},
            ),
        ),
        hypers=("eta_minus", "eta_plus", "min_step_size", "max_step_size"),
        slots=("step_size", "gradient_before"),
        exempt={
            "test_an_optimizer_follows_its_paper_under_schedules": NO_SCHEDULE,
            "test_a_scheduled_rate_alone": NO_SCHEDULE,
            "test_scale_by_is_the_optimizer_without_rate_and_decay": (
                "its bounds are in units of the first step"
            ),
        },
        # A step size is a product, rounded whenever it changes.
        float32_bound=40.0,  # measured: 31.6
    ),
)

# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "rprop that goes on where it turned": (
        (papers.rprop, {}),
        lambda: adamx.rprop(RATE, pause=False),
    ),
    "rprop that takes no step back": (
        (papers.rprop_plus, {}),
        lambda: adamx.rprop(RATE),
    ),
    "rprop without growth": (
        (papers.rprop, {}),
        lambda: adamx.rprop(RATE, eta_plus=1.0),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "rprop with factors that change": (
        lambda: adamx.rprop(RATE, lambda k: 0.5 + 0.2 / (k + 1.0)),
        papers.rprop,
        {"eta_minus": lambda k: 0.5 + 0.2 / (k + 1.0)},
    ),
}
