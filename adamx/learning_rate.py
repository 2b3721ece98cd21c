"""The learning rate: the step length, and the one place where the sign turns."""

from jaxtyping import Array, Float

from . import hyper
from .leaf import Leaf, Slots
from .rule import Rule


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
