"""The learning rate: the step length, and the one place where the sign turns."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors as _checks
from ..engine import hyperparams as hyper
from ..engine.rule import Rule
from ..engine.state import Leaf, Slots
from ..engine.value import Value
from ..numerics.arithmetic import rectifier, rho


class LearningRate(Rule):
    """`u ← -η u`: from a direction of ascent to a step of descent.

    Args:
        learning_rate: η ≥ 0, a number, an array or a schedule of the steps taken.
    """

    learning_rate: hyper.Hyper = hyper.hyper(
        allowed=hyper.NON_NEGATIVE.but(
            "It is the length of a step, and steps go downhill by themselves."
        )
    )

    def descends(self) -> bool:
        return True

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return -self.learning_rate * update, slots


class Descent(Rule):
    """`u ← -u`, in the place of `LearningRate` where the rate stands inside a part."""

    def descends(self) -> bool:
        return True

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return -update, slots


class WarmUp(Value):
    """A linear warm-up of another rate: `min(k / W, 1) η` at step k, from 1.

    Args:
        learning_rate: η ≥ 0, a number, an array or a schedule.
        steps: W.
    """

    learning_rate: hyper.Hyper = hyper.hyper(allowed=hyper.NON_NEGATIVE)
    steps: int = 1

    def __call__(self, count: Any) -> Any:
        rate: Any = self.learning_rate
        rate = rate(count) if callable(rate) else rate
        return rate * jnp.minimum((jnp.asarray(count, float) + 1) / self.steps, 1)


def warmed_up(learning_rate: Any, steps: int) -> Any:
    """The rate with a warm-up over `steps` steps; without steps the rate itself."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise _checks.AdamxError(
            f"warm-up: `warmup_steps` must be a whole number of steps, at least 0, got "
            f"{steps!r}. 0 is none."
        )
    return WarmUp(learning_rate, steps) if steps else learning_rate


class TimesRectifier(Value):
    """Another schedule times RAdam's r_t, or times `before` while ρ_t ≤ threshold.

    Args:
        value: a number, an array or a schedule.
        b2: β₂ of the second moment, a number.
        threshold: the length ρ_t of the average from which its variance is trusted.
        before: the factor until then.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """

    value: hyper.Hyper = hyper.hyper()
    b2: Any = 0.999
    threshold: Any = 4.0
    before: float = 0.0

    def __post_init__(self) -> None:
        if not (isinstance(self.b2, float) and isinstance(self.threshold, float)):
            raise _checks.AdamxError(
                f"TimesRectifier: `b2` and `threshold` must be numbers, got "
                f"{self.b2!r} and {self.threshold!r}. r_t is known for constants only."
            )

    def __call__(self, count: Any) -> Any:
        value: Any = self.value
        value = value(count) if callable(value) else value
        r = rectifier(*rho(self.b2, jnp.asarray(count, float) + 1), self.threshold)
        return value * jnp.where(r > 0, r, self.before)
