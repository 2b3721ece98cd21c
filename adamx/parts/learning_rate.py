"""The learning rate: the step length, and the one place where the sign turns."""

from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper
from ..engine.rule import Rule
from ..engine.state import Context, Slots


class LearningRate(Rule):
    """`u ← -η u`: from a direction of ascent to a step of descent.

    Args:
        learning_rate: η ≥ 0, a number, an array or a schedule of the steps taken.
    """

    place = "step"

    learning_rate: Hyper = hyper(
        allowed=NON_NEGATIVE.but(
            "It is the length of a step, and steps go downhill by themselves."
        )
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return -self.learning_rate * update, slots


class Negate(Rule):
    """`u ← -u`, in the place of `LearningRate` where the rate stands inside a part."""

    place = "step"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return -update, slots
