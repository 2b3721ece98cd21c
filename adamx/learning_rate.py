"""The learning rate: the step length, and the one place where the sign turns."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _checks, hyper
from .leaf import Leaf, Slots
from .rule import Rule
from .value import Value


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

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return -self.learning_rate * update, slots


class Descent(Rule):
    """`u ← -u`, in the place of `LearningRate` where the rate stands inside a part."""

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return -update, slots


class WarmUp(Value):
    """A linear warm-up of another rate: `min(k / W, 1) η` at step k = 1, 2, …"""

    learning_rate: hyper.Hyper = hyper.hyper(allowed=hyper.NON_NEGATIVE)
    steps: int = 1

    def __call__(self, count: Any) -> Any:
        rate: Any = self.learning_rate
        rate = rate(count) if callable(rate) else rate
        return rate * jnp.minimum(jnp.asarray(count + 1, float) / self.steps, 1)


def warmed_up(learning_rate: Any, steps: int) -> Any:
    """The rate with a warm-up over `steps` steps; without steps the rate itself."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise _checks.AdamxError(
            f"warm-up: `warmup_steps` must be a whole number of steps, at least 0, got "
            f"{steps!r}. 0 is none."
        )
    return WarmUp(learning_rate, steps) if steps else learning_rate
