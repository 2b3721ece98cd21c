"""The learning rate, which also makes the update negative (descent)."""

from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper
from ..engine.rule import Rule
from ..engine.state import Context, Slots


class LearningRate(Rule):
    """Multiply the direction by the negative learning rate: `u ← -η u`.

    Args:
        learning_rate: η ≥ 0, a number, an array or a schedule of the steps taken.
    """

    place = "step"

    learning_rate: Hyper = hyper(
        allowed=NON_NEGATIVE.but(
            "It is the length of a step, and steps go downhill by themselves."
        ),
        data=True,
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return -self.learning_rate * update, slots


class Negate(Rule):
    """Negate the update, in place of `LearningRate` if a part includes the rate."""

    place = "step"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return -update, slots
