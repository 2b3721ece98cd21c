"""Nesterov momentum for averages of the gradient.

It is the average that the next step would have if its gradient were the same: with the
bias correction of the NAdam paper (`Nesterov`), or without (`LookAhead`).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import FRACTION, Hyper, hyper, is_constant, schedule
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..engine.value import Value
from ..numerics.arithmetic import lerp, one_minus_power
from .moments import MomentRule


class LookAhead(MomentRule):
    """Return `β m + (1 - β) g`, Nesterov momentum without bias correction.

    `Debiased(LookAhead(Ema(b1)))` has one correction for both terms: the form of Choi
    et al. and of AlgoPerf.

    Args:
        moment: an average of the gradient such as `Ema(0.9)`.

    Reference: Choi et al., "On empirical comparisons of optimizers for deep learning",
    2019, Table 1, arXiv:1910.05446.
    """

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        return lerp(m, update, self.decay), slots


def one_step_ahead(schedule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Shift a schedule, so that it returns the value of the next step."""
    return lambda count: schedule(optax.safe_increment(count))


class Ahead(Value):
    """Return a scheduled decay at the next step."""

    decay: Hyper = hyper(allowed=FRACTION, public="decay_ahead")


class Nesterov(Rule):
    """Apply Dozat's Nesterov momentum, with a bias correction for each of its terms.

        m̂ = μ' m / w' + (1 - μ) g / w
        w = 1 - μ_1 … μ_t,    w' = 1 - μ_1 … μ_t μ',    μ' the decay of the next step

    Args:
        moment: a corrected average of the gradient such as `Debiased(Ema(0.9))`. Its
            decay, if it is a schedule, is also evaluated at the next step.

    Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
    Algorithm 2.
    """

    takes = "either"

    moment: Part = part()
    ahead: Any = dataclasses.field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not hasattr(self.moment, "moment") or not hasattr(self.moment, "decay"):
            raise errors.type_error(
                "Nesterov",
                "`moment` must be a corrected average, such as Debiased(Ema(0.9))",
                repr(self.moment),
                "For one without correction use LookAhead.",
            )
        if callable(self.moment.decay):
            ahead = Ahead(schedule(one_step_ahead, schedule=self.moment.decay))
            object.__setattr__(self, "ahead", ahead)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        known = self.moment.shared(kept, count)
        name, now = self.moment.name, self.moment.decay
        after = now if self.ahead is None else self.ahead.decay
        w = known[f"{name}_weight"]
        if is_constant(now):
            w_after = one_minus_power(now, count + 1)
        else:
            w_after = lerp(w, jnp.ones_like(w), after)
        return known | {
            f"{name}_share": after * w / w_after,
            f"{name}_fresh": (1 - now) / w,
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m_hat, slots = self.moment.apply(update, slots, ctx)
        name, known = self.moment.name, ctx.shared
        m_hat = known[f"{name}_share"] * m_hat + known[f"{name}_fresh"] * update
        return m_hat, slots
