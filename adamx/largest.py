"""The largest value that a moment has had: a denominator that never shrinks."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine.rule import Part, Rule, merge_slots, part
from .engine.state import Leaf, Slot, Slots


class Largest(Rule):
    """The largest value that a moment has had, element by element.

        v_max ← max(v_max, v)

    Where it stands decides what is compared: `Largest(Debiased(Ema(b2, square, "nu")))`
    keeps the largest corrected average (Optax's AMSGrad), `Debiased(Largest(Ema(...)))`
    corrects the largest raw one (torch), `Largest(Ema(...))` corrects nothing (the
    paper).

    Args:
        moment: a moment that is not negative, such as `Ema(0.999, square, "nu")`.

    State: `<name of the moment>_max`, from zero.

    Reference: Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018,
    Algorithm 2, arXiv:1904.09237.
    """

    moment: Part = part()

    @property
    def name(self) -> str:
        return self.moment.name

    @property
    def decay(self) -> Any:
        return self.moment.decay

    def slots(self) -> dict[str, Slot]:
        return merge_slots(self) | {f"{self.name}_max": Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        v, slots = self.moment.apply(update, slots, leaf)
        v_max = jnp.maximum(slots[f"{self.name}_max"], v)
        return v_max, slots | {f"{self.name}_max": v_max}
