"""Where an average starts, if not at zero."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine.rule import Part, Rule, part
from .engine.state import Leaf, Slots


class FromFirst(Rule):
    """An average that starts at its first reading, and so needs no correction.

        first step:  m ← f(g)
        then:        m ← β m + (1 - β) f(g)

    Args:
        moment: an average such as `Ema(0.9)`.
    """

    moment: Part = part()

    @property
    def name(self) -> str:
        return self.moment.name

    @property
    def decay(self) -> Any:
        return self.moment.decay

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        m, after = self.moment.apply(update, slots, leaf)
        m = jnp.where(leaf.count == 1, self.moment.of(update, slots), m)
        return m, after | {self.name: m}
