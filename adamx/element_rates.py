"""Rates of single elements, α divided by a denominator, that are held in bounds.

The learning rate stands inside: it is what is bounded. `Descent` turns the sign.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.hyperparams import Hyper
from .engine.rule import Part, Rule, merge_slots, part
from .engine.state import Leaf, Slot, Slots
from .numerics.arithmetic import lerp


class CorrectedByRate(Rule):
    """A raw average whose correction is left to the rate that multiplies it.

        returns m and not m / w;    the rate is α / w

    Args:
        moment: a corrected average such as `Debiased(Ema(0.9))`.
    """

    moment: Part = part()

    @property
    def name(self) -> str:
        return self.moment.name

    def rate_weight(self, leaf: Leaf) -> Any:
        """What the rate is divided by."""
        return leaf.shared[f"{self.name}_weight"]

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        _, slots = self.moment.apply(update, slots, leaf)
        return slots[self.name], slots


class _ElementRate(Rule):
    """What both bounds share: a moment, and the rate α / D of each of its elements."""

    moment: Part = part()
    by: Part = part(kw_only=True)
    learning_rate: Hyper = hyper.hyper(
        1.0,
        allowed=hyper.NON_NEGATIVE.but("It is what is divided and bounded."),
        kw_only=True,
    )

    def _rate(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf, undivided: float
    ) -> tuple[Float[Array, "..."], Float[Array, "..."], Slots]:
        """The moment and its rate; where the denominator is 0 it is `undivided`."""
        m, slots = self.moment.apply(update, slots, leaf)
        d, slots = self.by.apply(update, slots, leaf)
        alpha = self.learning_rate
        if isinstance(self.moment, CorrectedByRate):
            alpha = alpha / self.moment.rate_weight(leaf)
        none = d == 0
        return m, jnp.where(none, undivided, alpha / jnp.where(none, 1, d)), slots


class BoundedRate(_ElementRate):
    """`min(max(α / D, η_l), η_u) m`: AdaBound's, whose bounds close on a rate η*.

        η_l = η* (1 - 1 / (γ t + 1)),    η_u = η* (1 + 1 / (γ t))

    Args:
        moment: m, such as `CorrectedByRate(Debiased(Ema(0.9)))`.
        by: the denominator D.
        learning_rate: α ≥ 0.
        final_lr: η* > 0, the rate that is left when the bounds have closed.
        gamma: γ > 0, the speed at which they close; they are halfway after 1 / γ steps.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """

    final_lr: Hyper = hyper.hyper(
        0.1,
        allowed=hyper.POSITIVE.but("It is the rate that is left in the end."),
        kw_only=True,
    )
    gamma: Hyper = hyper.hyper(
        1e-3,
        allowed=hyper.POSITIVE.but("It is the speed at which the bounds close."),
        kw_only=True,
    )

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        closed = self.gamma * count
        return super().tick(kept, count) | {
            "rate_lower": self.final_lr * closed / (closed + 1),
            "rate_upper": self.final_lr * (1 + 1 / closed),
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        m, rate, slots = self._rate(update, slots, leaf, jnp.inf)
        known = leaf.shared
        return jnp.clip(rate, known["rate_lower"], known["rate_upper"]) * m, slots


class MomentalRate(_ElementRate):
    """`min(η, s) m`: AdaMod's, no rate above the average of those before it.

        η = α / D,    s ← β s + (1 - β) η

    Where D is 0, nothing having been seen, the rate is 0.

    Args:
        moment: m, such as `Debiased(Ema(0.9))`.
        by: the denominator D.
        learning_rate: α ≥ 0.
        decay: β in [0, 1), the memory of the rates.
        name: the slot that holds s, from zero.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """

    decay: Hyper = hyper.hyper(
        0.999,
        allowed=hyper.FRACTION.but("It is the weight of the past rates."),
        kw_only=True,
    )
    name: str = hyper.option("rate")

    @property
    def public_names(self) -> dict[str, str]:
        return {"decay": "b3"}

    def slots(self) -> dict[str, Slot]:
        return merge_slots(self) | {self.name: Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        m, rate, slots = self._rate(update, slots, leaf, 0.0)
        s = lerp(slots[self.name], rate, self.decay)
        return jnp.minimum(rate, s) * m, slots | {self.name: s}
