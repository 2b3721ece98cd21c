"""The table of members that every law runs through; a later member is one more row.

A row says how the optimizer is called and whom it must agree with: the function of
`tests.papers` that is written from its pseudo-code, and the Optax twin where the same
form exists there. Nothing in here is arithmetic.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping

import optax
import pytest

import adamx
from tests import papers
from tests.table import FAMILIES
from tests.table.row import RATE, Member, Variant, kept

SMALL = os.environ.get("ADAMX_GRID") != "full"
"""Unless ADAMX_GRID=full, the laws run in float32 and on a sample of the members."""

# A schedule is arithmetic on the number of steps already taken, so that one function
# serves the traced int32 of a member and the plain integer of an oracle.
SCHEDULES: Mapping[str, Callable] = {
    "learning_rate": lambda k: 0.05 / (1.0 + 0.1 * k),
    "b1": lambda k: 0.5 + 0.45 * k / (k + 4.0),
    "b2": lambda k: 1.0 - 0.5 / (k + 1.5),
    "decay": lambda k: 0.95 - 0.5 / (k + 2.0),
    "eps": lambda k: 1e-3 / (1.0 + k),
    "momentum": lambda k: 0.5 + 0.4 * k / (k + 10.0),
    "dampening": lambda k: 0.5 / (1.0 + 0.2 * k),
    "weight_decay": lambda k: 0.3 / (1.0 + 0.05 * k),
    "threshold": lambda k: 4.0 + 2.0 * k / (k + 9.0),
    "beta": lambda k: 0.9 - 0.5 / (k + 2.0),
    "eps_root": lambda k: 1e-4 / (1.0 + k),
    "b3": lambda k: 1.0 - 0.3 / (k + 2.0),
    "trust_coefficient": lambda k: 0.1 / (1.0 + k),
    "final_lr": lambda k: 0.1 + 0.1 / (1.0 + k),
    "gamma": lambda k: 0.1 / (1.0 + k),
    "nu1": lambda k: 0.9 - 0.5 / (k + 2.0),
    "nu2": lambda k: 0.5 + 0.5 / (k + 1.0),
    "p": lambda k: 0.25 + 0.2 / (1.0 + k),
    "max_learning_rate": lambda k: 0.1 / (1.0 + 0.1 * k),
    "alpha": lambda k: 3.0 - 2.0 / (k + 1.0),
    "a": lambda k: 1.0 + 0.3 / (k + 1.0),
    "b": lambda k: 0.5 + 0.5 / (k + 1.0),
    "rho": lambda k: 0.95 - 0.5 / (k + 2.0),
    "eta_minus": lambda k: 0.5 + 0.2 / (k + 1.0),
    "eta_plus": lambda k: 1.2 - 0.1 / (k + 1.0),
    "min_step_size": lambda k: 1e-4 / (k + 1.0),
    "max_step_size": lambda k: 1.0 + 1.0 / (k + 1.0),
}

# Two ordinary values of each hyperparameter: for vmap, for arguments, for `tunable`.
PAIRS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (0.05, 0.01),
    "b1": (0.9, 0.6),
    "b2": (0.999, 0.9),
    "decay": (0.9, 0.6),
    "eps": (1e-8, 1e-2),
    "momentum": (0.9, 0.5),
    "dampening": (0.1, 0.3),
    "weight_decay": (0.01, 0.2),
    "threshold": (5.0, 7.0),
    "beta": (0.9, 0.6),
    "eps_root": (1e-16, 1e-3),
    "b3": (0.9999, 0.9),
    "trust_coefficient": (0.001, 0.1),
    "final_lr": (0.1, 0.03),
    "gamma": (1e-3, 0.2),
    "nu1": (0.7, 0.9),
    "nu2": (1.0, 0.6),
    "p": (0.25, 0.4),
    "max_learning_rate": (0.1, 0.2),
    "alpha": (5.0, 2.0),
    "a": (1.27, 1.0),
    "b": (1.0, 0.5),
    "rho": (0.9, 0.6),
    "eta_minus": (0.5, 0.7),
    "eta_plus": (1.2, 1.1),
    "min_step_size": (1e-6, 1e-3),
    "max_step_size": (50.0, 1.0),
}


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


STORY = (
    Member(
        "sgd",
        (
            Variant("", twin=optax.sgd),
            Variant(
                "momentum",
                {"momentum": 0.9},
                twin=functools.partial(optax.sgd, momentum=0.9),
            ),
            Variant(
                "nesterov",
                {"momentum": 0.9, "nesterov": True},
                twin=functools.partial(optax.sgd, momentum=0.9, nesterov=True),
            ),
            Variant("dampening", {"momentum": 0.8, "dampening": 0.3}),
        ),
        hypers=("momentum", "dampening"),
        slots=(),
    ),
    Member(
        "adagrad",
        (
            Variant(""),
            Variant("start", {"initial_accumulator": 0.1, "eps": 1e-6}),
        ),
        hypers=("eps",),
        slots=("sum_of_squares",),
        scale_free_from=1,
    ),
    Member(
        "rmsprop",
        (
            Variant(
                "",
                twin=functools.partial(optax.rmsprop, decay=0.9, eps_in_sqrt=False),
            ),
            Variant(
                "centered",
                {"centered": True, "eps": 1e-4},
                twin=functools.partial(
                    optax.rmsprop,
                    decay=0.9,
                    eps=1e-4,
                    eps_in_sqrt=False,
                    centered=True,
                ),
            ),
            Variant(
                "momentum",
                {"momentum": 0.8, "decay": 0.95},
                twin=functools.partial(
                    optax.rmsprop, decay=0.95, eps_in_sqrt=False, momentum=0.8
                ),
            ),
            Variant("all", {"centered": True, "momentum": 0.8, "eps": 1e-3}),
        ),
        hypers=("decay", "eps", "momentum"),
        slots=("nu",),
        scale_free_from=1,
    ),
    Member(
        "adam",
        (
            Variant("", twin=optax.adam),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2},
                twin=functools.partial(optax.adam, b1=0.6, b2=0.9, eps=1e-2),
            ),
            Variant("no-b1", {"b1": 0.0}, twin=functools.partial(optax.adam, b1=0.0)),
            Variant(
                "hat",
                {"eps": adamx.parts.EpsBeforeCorrection(1e-3)},
                oracle="adam_eps_hat",
                oracle_keywords={"eps": 1e-3},
            ),
            Variant(
                "root",
                {"eps": adamx.parts.EpsInsideRoot(1e-4, 1e-6)},
                oracle="adam_eps_root",
                oracle_keywords={"eps_root": 1e-4, "eps": 1e-6},
                twin=functools.partial(optax.adam, eps_root=1e-4, eps=1e-6),
            ),
            Variant(
                "max",
                {"eps": adamx.parts.EpsAsFloor(0.3)},
                oracle="adam_eps_max",
                oracle_keywords={"eps": 0.3},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
    Member(
        "adamw",
        (
            Variant("", twin=functools.partial(optax.adamw, weight_decay=1e-2)),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                twin=functools.partial(
                    optax.adamw, weight_decay=0.3, b2=0.99, eps=1e-4
                ),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
    Member(
        "radam",
        (
            Variant("", twin=optax.radam),
            Variant(
                "paper-threshold",
                {"threshold": 4.0, "b2": 0.99},
                twin=functools.partial(optax.radam, threshold=4.0, b2=0.99),
            ),
        ),
        hypers=("b1", "b2", "eps", "threshold"),
        slots=("mu", "nu"),
        unscheduled=("b2",),  # ρ_t is defined for a constant b2
        scale_free_from=6,
    ),
)


ALIASES = (*STORY, *FAMILIES)


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
    """The members of the story, and one of the family per reach."""
    reaches = {member.reach: member for member in reversed(FAMILIES)}
    return (*STORY, *reaches.values())


def cases(*, first_only=False, where=lambda case: True, members=None):
    """The table as pytest parameters; `first_only` leaves one variant per member.

    Without `members` they are all, or in the small grid those of `sampled`.
    """
    if members is None:
        members = sampled() if SMALL else ALIASES
    return [
        pytest.param(case, id=str(case))
        for member in members
        for variant in member.variants[: 1 if first_only else None]
        if where(case := Case(member, variant))
    ]
