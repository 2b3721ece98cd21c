"""The cases that the laws are parametrised with, and how many each law takes."""

import dataclasses
import os

import pytest

from tests import papers
from tests.table import OPTIMIZERS as OPTIMIZERS
from tests.table.hyperparameters import PAIRS as PAIRS, SCHEDULES as SCHEDULES
from tests.table.row import RATE, Optimizer, Variant, kept

SMALL = os.environ.get("ADAMX_GRID") != "full"
"""Unless ADAMX_GRID=full, the laws run in float32 and on a sample of the optimizers.

What the small grid leaves out, the full one has, which CI runs: every law on every
optimizer, and every mutant. In both grids each variant follows its paper
(test_follow_papers.py), and each optimizer has its docstring (test_conventions.py) and
works with storage (storage/test_errors.py). So an optimizer that has become wrong fails
in the small grid too; what only another law sees fails in CI.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """An optimizer in one of its variants: what most laws are parametrised with."""

    optimizer: Optimizer
    variant: Variant

    @property
    def keywords(self):
        return self.variant.keywords

    @property
    def tx(self):
        """The optimizer as its row says, one object for all tests: compiled once."""
        return kept(self.optimizer, self.variant)

    def build(self, learning_rate=RATE, **changes):
        """A newly built one."""
        return self.optimizer.build(learning_rate, **{**self.keywords, **changes})

    def scale_by(self, **changes):
        return self.optimizer.scale_by(**{**self.keywords, **changes})

    @property
    def first(self):
        """Whether this is the default form, on which the costlier laws run."""
        return self.variant is self.optimizer.variants[0]

    @property
    def hypers(self):
        """Names that may vary: those whose value is not already a part.

        Nesterov's momentum takes no dampening, as in torch.
        """
        return tuple(
            name
            for name in self.optimizer.hypers
            if isinstance(self.keywords.get(name, 0.0), float)
            and not (name == "dampening" and self.keywords.get("nesterov"))
        )

    @property
    def schedules(self):
        """The rate and every hyperparameter that the paper lets vary, as schedules."""
        names = ("learning_rate", *self.hypers)
        return {n: SCHEDULES[n] for n in names if n not in self.optimizer.unscheduled}

    def oracle(self, theta, gradient, steps, **changes):
        keywords = self.variant.oracle_keywords
        keywords = self.keywords if keywords is None else keywords
        described = self.variant.oracle or self.optimizer.name
        if isinstance(described, str):
            described = getattr(papers, described)
        return described(theta, gradient, steps, **{**keywords, **changes})

    def __str__(self):
        label = self.variant.label
        return self.optimizer.name + (f"-{label}" if label else "")


_NAMED = {row.name: row for row in OPTIMIZERS}
BASIC = tuple(
    _NAMED[name] for name in ("sgd", "adagrad", "rmsprop", "adam", "adamw", "radam")
)
# One of each scope: element, tensor, tree.
OTHERS = tuple(_NAMED[name] for name in ("adam_atan2", "adafactor", "avagrad"))
# Others whose parts, state or needs are of another kind: parameters that are averaged,
# distances and masks in the state, extra arguments, matrices, sums over the tree.
OF_OTHER_KINDS = tuple(
    _NAMED[name]
    for name in (
        "adahessian", "adamc", "adamp", "adashift", "came", "dog", "fira", "lamb",
        "lookahead", "mars", "muon", "param_ema", "prodigy", "rprop",
        "schedule_free_sgd", "shampoo", "sm3", "soap", "sophia", "spam",
    )
)  # fmt: skip


def grid(dtypes):
    """The cases of the laws in float32, and in the other dtypes those of `sample`.

    Whatever the dtype of a gradient and of a parameter, a rule sees them in float32:
    the engine widens them before and narrows the update after, by the rule's scope and
    never by its name. So one default per scope shows all that another dtype changes.
    Nothing is lost: every optimizer meets each of these laws in float32; every one of
    them goes through every pair of dtypes in the law of the fixed point, which sees a
    rule that lets a dtype through (test_state.py); and numerics/test_arithmetic.py has
    the ranges of float16 and bfloat16.
    """
    return [
        pytest.param(*row.values, dtype, id=f"{row.id}-{dtype}")
        for row in law_cases()
        for dtype in dtypes
        if dtype == "float32"
        or (row.values[0].first and row.values[0].optimizer in sampled())
    ]


def law_cases(where=lambda case: True):
    """Every optimizer, and the basic optimizers in every variant.

    The papers go through all variants; a law costs a compilation each time.
    """
    return cases(
        where=lambda case: (case.first or case.optimizer in BASIC) and where(case)
    )


def sample():
    """For what is a matter of tree.update alone: the basic ones, and one per scope."""
    return cases(first_only=True, optimizers=sampled())


def sampled():
    """The basic optimizers and one of the others per scope; fewer in the small grid."""
    if SMALL:
        return tuple(
            _NAMED[n] for n in ("sgd", "adam", "radam", "adafactor", "avagrad")
        )
    return (*BASIC, *OTHERS)


def kinds():
    """For what the engine does whatever the rule: one optimizer of each kind."""
    return cases(
        first_only=True,
        optimizers=sampled() if SMALL else (*sampled(), *OF_OTHER_KINDS),
    )


def few(values, number):
    """All of `values` in the full grid; in the small one `number` of them, spread."""
    values = list(values)
    if not SMALL or len(values) <= number:
        return values
    return [values[i * len(values) // number] for i in range(number)]


def rows():
    """All optimizers, or in the small grid those of `sampled`."""
    return sampled() if SMALL else OPTIMIZERS


def cases(*, first_only=False, where=lambda case: True, optimizers=None):
    """The table as pytest parameters; `first_only` leaves one variant per optimizer.

    Without `optimizers` they are those of `rows`.
    """
    return [
        pytest.param(case, id=str(case))
        for optimizer in (rows() if optimizers is None else optimizers)
        for variant in optimizer.variants[: 1 if first_only else None]
        if where(case := Case(optimizer, variant))
    ]
