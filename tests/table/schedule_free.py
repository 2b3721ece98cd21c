"""Rows of the table.

None has a `scale_by_` form: the rate is inside them. Averages are tested as they are
trained, at y; test_averages_and_rate_free.py has the point to evaluate with.
"""

import dataclasses
import functools

import adamx
from tests import papers
from tests.table.row import RATE, Member, Variant

from .adafactor import NO_KINDS


def trained(oracle):
    """Of the points that an oracle of several sequences gives, those trained with."""
    return lambda *given, **keywords: oracle(*given, **keywords)[0]


@dataclasses.dataclass(frozen=True, eq=False)
class AroundAdam(Member):
    """A wrapper, around Adam."""

    def alias(self, learning_rate=RATE, **keywords):
        adam = {n: keywords.pop(n) for n in ("b1", "b2", "eps") if n in keywords}
        wrapper = getattr(adamx, self.name)
        return wrapper(adamx.adam(learning_rate, **adam), **keywords)


@dataclasses.dataclass(frozen=True, eq=False)
class ScheduleFree(Member):
    """The wrapper that is told the rate too, around SGD."""

    def alias(self, learning_rate=RATE, **keywords):
        return adamx.schedule_free(adamx.sgd(learning_rate), learning_rate, **keywords)


NO_VALUES = {
    "test_init_takes_shapes_without_values": (
        "it begins at the parameters, which their shapes do not tell"
    )
}
INSIDE = {
    "test_scale_by_is_the_alias_without_rate_and_decay": "it has no such form",
    "test_members_without_decay_need_no_parameters": "it reads them",
}
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
FREE = {
    name: "its step is measured on the whole model"
    for name in ("test_masked", "test_partition_with_an_empty_group")
}
UNCOUNTED = {
    name: "it counts a first gradient of zero: test_averages_and_rate_free.py"
    for name in (
        "test_a_member_follows_its_paper",
        "test_a_member_follows_its_paper_under_schedules",
        "test_a_scheduled_rate_alone",
        "test_hyperparameters_as_arrays",
        "test_restored_from_constants_into_arrays",
    )
}
# In `float32_bound`: what is returned is a difference of parameters, and their rounding
# counts by as much as they are longer than a step. Measured, in the order of the rows:
# 24.2, 24.2 (warm 20.7), 22.5 (151.5), 514.0 (24.6), 108.2, 61.0.
ADAM = ("b1", "b2", "eps")

ROWS = (
    ScheduleFree(
        "schedule_free",
        (Variant("", oracle=trained(papers.schedule_free_sgd)),),
        hypers=("b1",),
        slots=("z",),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=26.0,
        exempt=INSIDE | NO_VALUES | TWICE,
    ),
    Member(
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
        exempt=INSIDE | NO_VALUES | TWICE,
    ),
    Member(
        "schedule_free_adamw",
        (
            Variant("", oracle=trained(papers.schedule_free_adamw)),
            Variant(
                "warm",
                {"warmup_steps": 10, "weight_decay": 0.1, "r": 1.0},
                oracle=trained(papers.schedule_free_adamw),
            ),
        ),
        hypers=(*ADAM, "weight_decay"),
        slots=("nu", "z"),
        shared=("z_share", "learning_rate_max", "weight_sum"),
        float32_bound=160.0,
        amplifies=2.0,  # for the same reason; measured: 10.9 units, of 8
        exempt=INSIDE | NO_VALUES | TWICE,
    ),
    Member(
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
        exempt=INSIDE | NO_VALUES | TWICE | SILENT,
    ),
    AroundAdam(
        "gpa",
        (Variant("", oracle=trained(papers.gpa_adamw)),),
        hypers=ADAM,
        slots=("mu", "nu", "z"),
        shared=("z_share",),
        float32_bound=115.0,
        exempt=INSIDE | NO_VALUES,
    ),
    AroundAdam(
        "lookahead",
        (Variant("", oracle=trained(papers.lookahead_adam)),),
        hypers=ADAM,
        slots=("mu", "nu", "slow"),
        shared=("slow_share",),
        float32_bound=65.0,
        exempt=INSIDE | NO_VALUES,
    ),
    AroundAdam(
        "param_ema",
        (Variant("", oracle=trained(papers.adam_averaged)),),
        hypers=ADAM,
        slots=("mu", "nu", "average"),
        shared=("average_share", "average_weight"),
        exempt=INSIDE | NO_VALUES,
    ),
    Member(
        "prodigy",
        (
            # r is of θ_0 - θ, which has the rounding of θ: from 0.01 the laws' four
            # steps leave it 1,261 units of float32 off (measured), from 1 ten.
            Variant(
                "",
                {"estim_lr0": 1.0},
                oracle=functools.partial(papers.prodigy_official, bias_correction=True),
            ),
            Variant(
                "from a hundredth",
                {"estim_lr0": 1e-2},
                oracle=functools.partial(papers.prodigy_official, bias_correction=True),
            ),
        ),
        hypers=("eps", "weight_decay"),
        slots=("mu", "nu", "s", "start"),
        shared=("r", "b1_weight", "b2_weight", "d"),
        reach="global",
        amplifies=2.0,  # for the same reason
        exempt=INSIDE | FREE | NO_VALUES | NO_KINDS | UNCOUNTED,
    ),
    Member(
        "dadapt_adamw",
        (
            Variant(
                "",
                {"estim_lr0": 1e-2},
                oracle=functools.partial(
                    papers.d_adapt_adam_official, bias_correction=True
                ),
            ),
        ),
        hypers=("eps", "weight_decay"),
        slots=("mu", "nu", "s"),
        shared=("r", "b1_weight", "b2_weight", "d"),
        reach="global",
        float32_bound=6.0,  # measured: 5.2
        exempt=INSIDE | FREE | NO_KINDS | UNCOUNTED,
    ),
    Member(
        "dog",
        (Variant("", oracle=papers.dog),),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("distance", "sum_of_square_norms"),
        reach="global",
        exempt=INSIDE | FREE | NO_VALUES,
    ),
    Member(
        "dowg",
        (Variant("", {"eps": 0.0}, oracle=papers.dowg),),
        hypers=("weight_decay",),
        slots=("start",),
        shared=("square_distance", "weighted_sum"),
        reach="global",
        exempt=INSIDE | FREE | NO_VALUES,
    ),
)
