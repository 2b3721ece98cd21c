"""The rows of schedule_free around SGD, and of its three optimizers.

None has a `scale_by_` form: the rate is inside them. They are tested as they are
trained, at y; test_averages_and_rate_free.py has the point to evaluate with.

`float32_bound`: what is returned is a difference of parameters, and their rounding
counts by as much as they are longer than a step. Measured, in the order of the rows:
24.2, 24.2 (warm 20.7), 22.5 (151.5), 514.0 (24.6).
"""

import dataclasses

import adamx
from tests import papers
from tests.table.row import RATE, Optimizer, Variant, trained

from .exemptions import NO_VALUES, RATE_INSIDE


@dataclasses.dataclass(frozen=True, eq=False)
class ScheduleFree(Optimizer):
    """The wrapper that is told the rate too, around SGD."""

    def build(self, learning_rate=RATE, **keywords):
        return adamx.schedule_free(adamx.sgd(learning_rate), learning_rate, **keywords)


TWICE = {"test_arrays_are_leaves_and_constants_are_not": "its rate stands in two parts"}

SILENT = {
    name: "the rate of its first steps is 0"
    for name in (
        "test_jit_of_update_on_equal_transforms_with_arrays_traces_once",
        "test_arrays_of_a_transform_that_is_an_argument_change_without_a_recompile",
    )
} | {
    "test_tunable_hyperparameters_change_without_a_recompile": (
        "its rate is a schedule, to be read only"
    )
}

ROWS = (
    ScheduleFree(
        "schedule_free",
        (Variant("", oracle=trained(papers.schedule_free_sgd)),),
        hypers=("b1",),
        slots=("z",),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=26.0,
        exempt=RATE_INSIDE | NO_VALUES | TWICE,
    ),
    Optimizer(
        "schedule_free_sgd",
        (
            Variant("", oracle=trained(papers.schedule_free_sgd)),
            Variant(
                "warm",
                {"warmup_steps": 10, "weight_decay": 0.1},
                oracle=trained(papers.schedule_free_sgd),
            ),
        ),
        hypers=("b1", "weight_decay"),
        slots=("z",),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=26.0,
        exempt=RATE_INSIDE | NO_VALUES | TWICE,
    ),
    Optimizer(
        "schedule_free_adamw",
        (
            Variant("", oracle=trained(papers.schedule_free_adamw)),
            Variant(
                "warm",
                {"warmup_steps": 10, "weight_decay": 0.1, "r": 1.0},
                oracle=trained(papers.schedule_free_adamw),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("nu", "z"),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=160.0,
        amplifies=2.0,  # for the same reason; measured: 10.9 units, of 8
        exempt=RATE_INSIDE | NO_VALUES | TWICE,
    ),
    Optimizer(
        "schedule_free_radam",
        (
            Variant("", oracle=trained(papers.schedule_free_radam)),
            Variant(
                "loud",
                {"silent_sgd_phase": False, "weight_decay": 0.1, "b2": 0.99},
                oracle=trained(papers.schedule_free_radam),
            ),
        ),
        hypers=("b1", "eps", "weight_decay"),  # r_t is known for a constant b2
        slots=("nu", "z"),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=540.0,
        exempt=RATE_INSIDE | NO_VALUES | TWICE | SILENT,
    ),
)
