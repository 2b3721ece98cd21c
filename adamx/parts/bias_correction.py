"""Bias correction of averages that start at zero, and RAdam's rectification.

Both corrections depend on the step alone, so they are computed once per update, in
`shared`, for all leaves.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import Hyper, Interval, hyper, is_constant, option
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import gathered_weight, one_minus_power, rectifier, rho
from .moments import MomentRule


def _require_average(where: str, name: str, part: Any) -> None:
    if not (hasattr(part, "decay") and hasattr(part, "name")):
        raise errors.type_error(
            where,
            f"`{name}` must be an average with a decay, such as Ema(0.9)",
            repr(part),
            "Only a weighted average has a zero start to correct.",
        )


def weight_from_count(decay: Any, count: Array) -> Array:
    """Return the weight of an average after `count` steps, by its present decay."""
    now = decay(count) if callable(decay) else decay
    return one_minus_power(jnp.asarray(now, count.dtype), count)


class Debiased(MomentRule):
    """Bias correction: divide a moment by the sum of the weights in it.

        m̂ = m / (1 - β**t)                      (Kingma & Ba 2014, Algorithm 1)

    With a constant decay the weight is computed from the count, to 5e-7. With a decay
    that is an array or a schedule it is the running sum of the weights, kept as the
    shared slot `<name>_weight`:

        w ← w + (1 - β_t)(1 - w),    which is 1 - β_1 β_2 … β_t

    Args:
        moment: an average such as `Ema(0.9)`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_average("Debiased", "moment", self.moment)

    @property
    def _weight(self) -> str:
        return f"{self.name}_weight"

    @property
    def _correction(self) -> str:
        return f"{self.name}_correction"

    def slots(self) -> dict[str, Slot]:
        slots = self.moment.slots()
        if not is_constant(self.decay):
            slots[self._weight] = Slot(
                shared=True, signed=False, from_count=self._from_count
            )
        return slots

    def _from_count(self, count: Array) -> Array:
        return weight_from_count(self.decay, count)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        weight = gathered_weight(self.decay, kept.get(self._weight), count)
        known = {self._weight: weight, self._correction: 1 / weight}
        return self.moment.shared(kept, count) | known

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        # a product: for a shared scalar XLA would divide every element
        return m * ctx.shared[self._correction], slots


class Rectified(Rule):
    """Divide a denominator by RAdam's r_t, or replace it by 1 while ρ_t is small.

        ρ_t > threshold:  D / r_t,
            r_t² = (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t)
        otherwise:        1, so that the numerator is the step
            (or infinity, so that the step is 0)

    Args:
        denominator: a denominator over an average with a decay b2, such as
            `RootPlusEps(Debiased(Ema(0.999, square, "nu")))`.
        threshold: the length ρ_t of the average above which the denominator is used, at
            least 4. The paper's listing says 4; the authors' code and torch say 5.
        skip: return infinity in place of 1: no step is taken until then, which is the
            default of the authors' code.

    With a scheduled b2, ρ_t is computed from the b2 of the step (a heuristic: the paper
    has constants only).

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """

    denominator: Part = part()
    threshold: Hyper = hyper(
        5.0,
        allowed=Interval(
            4.0, float("inf"), "[)", "Below 4 the variance is not defined; 5 is usual."
        ),
    )
    skip: bool = option(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        moment = getattr(self.denominator, "moment", None)
        _require_average("Rectified", "denominator.moment", moment)

    @property
    def _factor(self) -> str:
        return f"{self.denominator.moment.name}_rectifier"

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        decay = self.denominator.moment.decay
        rho_t, rho_inf = rho(decay, count)
        trusted = rectifier(rho_t, rho_inf, self.threshold)  # 0: not used
        return self.denominator.shared(kept, count) | {self._factor: trusted}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        d, slots = self.denominator.apply(update, slots, ctx)
        r = ctx.shared[self._factor]
        trusted = r > 0
        otherwise = jnp.inf if self.skip else 1
        return jnp.where(trusted, d / jnp.where(trusted, r, 1), otherwise), slots
