"""The cases that the laws are parametrised with, and how many each law takes."""

import dataclasses
import os

import pytest

from tests import papers
from tests.table import OPTIMIZERS as OPTIMIZERS
from tests.table.hyperparameters import PAIRS as PAIRS, SCHEDULES as SCHEDULES
from tests.table.row import RATE, Member, Variant, kept

SMALL = os.environ.get("ADAMX_GRID") != "full"
"""Unless ADAMX_GRID=full, the laws run in float32 and on a sample of the members."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A member in one of its variants: what most laws are parametrised with."""

    member: Member
    variant: Variant

    @property
    def keywords(self):
        return self.variant.keywords

    @property
    def tx(self):
        """The member as its row says, one object for all tests: compiled once."""
        return kept(self.member, self.variant)

    def alias(self, learning_rate=RATE, **changes):
        """A newly built one."""
        return self.member.alias(learning_rate, **{**self.keywords, **changes})

    def scale_by(self, **changes):
        return self.member.scale_by(**{**self.keywords, **changes})

    @property
    def first(self):
        """Whether this is the default form, on which the costlier laws run."""
        return self.variant is self.member.variants[0]

    @property
    def hypers(self):
        """Names that may vary: those whose value is not already a part.

        Nesterov's momentum takes no dampening, as in torch.
        """
        return tuple(
            name
            for name in self.member.hypers
            if isinstance(self.keywords.get(name, 0.0), float)
            and not (name == "dampening" and self.keywords.get("nesterov"))
        )

    @property
    def schedules(self):
        """The rate and every hyperparameter that the paper lets vary, as schedules."""
        names = ("learning_rate", *self.hypers)
        return {n: SCHEDULES[n] for n in names if n not in self.member.unscheduled}

    def oracle(self, theta, gradient, steps, **changes):
        keywords = self.variant.oracle_keywords
        keywords = self.keywords if keywords is None else keywords
        described = self.variant.oracle or self.member.name
        if isinstance(described, str):
            described = getattr(papers, described)
        return described(theta, gradient, steps, **{**keywords, **changes})

    def __str__(self):
        label = self.variant.label
        return self.member.name + (f"-{label}" if label else "")


_NAMED = {row.name: row for row in OPTIMIZERS}
STORY = tuple(
    _NAMED[name] for name in ("sgd", "adagrad", "rmsprop", "adam", "adamw", "radam")
)
# One of each reach: elementwise, per tensor, global.
OTHERS = tuple(_NAMED[name] for name in ("adam_atan2", "adafactor", "avagrad"))


def grid(dtypes):
    """The cases of the laws in float32, and every member's default in every dtype."""
    return [
        pytest.param(*row.values, dtype, id=f"{row.id}-{dtype}")
        for row in law_cases()
        for dtype in dtypes
        if dtype == "float32" or row.values[0].first
    ]


def law_cases(where=lambda case: True):
    """Every member, and the members of the story in every variant.

    The papers go through all variants; a law costs a compilation each time.
    """
    return cases(
        where=lambda case: (case.first or case.member in STORY) and where(case)
    )


def sample():
    """For what is a matter of the lift alone: the story, and one member per reach."""
    return cases(first_only=True, members=sampled())


def sampled():
    """The members of the story, and one of the others per reach."""
    return (*STORY, *OTHERS)


def cases(*, first_only=False, where=lambda case: True, members=None):
    """The table as pytest parameters; `first_only` leaves one variant per member.

    Without `members` they are all, or in the small grid those of `sampled`.
    """
    if members is None:
        members = sampled() if SMALL else OPTIMIZERS
    return [
        pytest.param(case, id=str(case))
        for member in members
        for variant in member.variants[: 1 if first_only else None]
        if where(case := Case(member, variant))
    ]
