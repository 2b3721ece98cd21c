"""An optimizer's row in the table that every law runs through."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import optax

import adamx

RATE = 0.05


def _as_it_is(tx):
    return tx


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """One way to call an optimizer, and what else describes that same arithmetic."""

    label: str
    keywords: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    oracle: str | Callable | None = (
        None  # where another function (of that name in tests.papers) describes it
    )
    oracle_keywords: Mapping[str, Any] | None = (
        None  # where they differ from `keywords`
    )
    in_optax: Callable[..., optax.GradientTransformation] | None = (
        None  # takes the rate
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Optimizer:
    """One optimizer: its name, its hyperparameters, its variants."""

    name: str
    variants: tuple[Variant, ...]
    hypers: tuple[str, ...]  # besides the rate; each may be a float, array or schedule
    slots: tuple[str, ...]  # of the first variant, one for each leaf
    shared: tuple[str, ...] = ()  # of the first variant, one for the tree
    unscheduled: tuple[str, ...] = ()  # of `hypers`: those whose paper has no schedule
    scale_free_from: int | None = None  # the step from which u(c·g) = u(g) at eps = 0
    scope: str = "element"
    exempt: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Laws (names of tests) that its mathematics does not have, each with the reason;
    tests/conftest.py leaves them out."""
    float32_bound: float = 4.0  # see tests/optimizers/test_follow_papers.py
    amplifies: float = 1.0
    """By how much its mathematics makes a rounding larger, measured, with its reason:
    so much wider are the tolerances of two laws, of `jit` and of `vmap` over seeds."""
    completed: Callable[[Any], Any] = _as_it_is
    """Given what is built: what gives it the arguments that the laws do not."""

    @property
    def function(self):
        return getattr(adamx, self.name)

    def build(self, learning_rate=RATE, **keywords):
        return self.completed(self.function(learning_rate=learning_rate, **keywords))

    @property
    def has_scale_by(self):
        return f"scale_by_{self.name}" in adamx.__all__

    def scale_by(self, **keywords):
        if not self.has_scale_by:
            return self.build(**keywords)
        unscaled = {k: v for k, v in keywords.items() if k not in NOT_IN_SCALE_BY}
        return self.completed(getattr(adamx, f"scale_by_{self.name}")(**unscaled))


@functools.cache
def kept(optimizer, variant):
    return optimizer.build(**variant.keywords)


NOT_IN_SCALE_BY = ("learning_rate", "weight_decay", "mask", "max_learning_rate")
NOT_IN_SCALE_BY += ("adam_learning_rate", "adam_weight_decay")


@dataclasses.dataclass(frozen=True, eq=False)
class AroundAdam(Optimizer):
    """A wrapper, around Adam."""

    def build(self, learning_rate=RATE, **keywords):
        adam = {n: keywords.pop(n) for n in ("b1", "b2", "eps") if n in keywords}
        return self.function(adamx.adam(learning_rate, **adam), **keywords)


def trained(oracle):
    """Of the points that an oracle of several sequences gives, those trained with."""
    return lambda *given, **keywords: oracle(*given, **keywords)[0]
