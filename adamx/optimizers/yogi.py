"""Yogi: Adam with an additive second moment, so that rates cannot grow fast."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Sum, square


class YogiMoment(Sum):
    """Move a second moment towards its statistic by a share of the statistic (Yogi).

        v ← v - (1 - β) sign(v - f) f,    f the statistic of the gradient

    A moving average moves by a share of the difference v - f instead, so that it can
    fall fast.

    Args:
        of: the statistic f of the gradient, not negative.
        name: the slot that holds v.
        start: v before the first step, at least 0; a number or an array.
        decay: β in [0, 1).

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """

    decay: Hyper = hyper(
        0.999,
        allowed=FRACTION.but("1 - decay is the share of f."),
        kw_only=True,
        public="b2",
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        v, f = slots[self.name], self.of(update, slots)
        v = v - (1 - self.decay) * jnp.sign(v - f) * f
        return v, slots | {self.name: v}


class StartedEma(Ema):
    """Keep an average that starts at a number other than 0, the same for all elements.

    Args:
        decay: as in `Ema`, and of, name.
        start: the average before the first step.
    """

    start: Any = option(0.0)

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(init=self.start)}


@checked_keywords
def scale_by_yogi(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-3,
    *,
    initial_accumulator: ScalarOrSchedule = 1e-6,
    bias_correction: bool = True,
) -> Rule:
    """Scale gradients as Yogi does: `yogi` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1); 1 - β₂ is the share of g² that v moves by.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        initial_accumulator: m and v before the first step, at least 0.
        bias_correction: divide by 1 - β₁ᵗ and 1 - β₂ᵗ; the paper does not.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """
    v = YogiMoment(square, "nu", initial_accumulator, decay=b2)
    m = Ema(b1) if is_zero(v.start) else StartedEma(b1, start=v.start)
    if bias_correction:
        return Precondition(Debiased(m), by=RootPlusEps(Debiased(v), eps))
    return Precondition(m, by=RootPlusEps(v, eps))


@checked_keywords
def yogi(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-3,
    *,
    initial_accumulator: ScalarOrSchedule = 1e-6,
    bias_correction: bool = True,
) -> Chain:
    """Yogi: Adam that changes the second moment by a share of g², not of g² - v.

        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← v - (1 - β₂) sign(v - g²) g²        v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α m̂ / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter; the paper suggests 0.01.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1); 1 - β₂ is the share of g² that v moves by.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; the paper has 1e-3 and
            `EpsBeforeCorrection(1e-3)` is TensorFlow's.
        initial_accumulator: m and v before the first step, at least 0; a number or an
            array.
        bias_correction: divide by 1 - β₁ᵗ and 1 - β₂ᵗ; the paper does not.

    State: `mu` (m), `nu` (v), both from `initial_accumulator`; 8 bytes per parameter,
    and the count.

    Departs from the paper: both corrections and the initial m and v, which are Optax's
    and TensorFlow's; `bias_correction=False, initial_accumulator=0` is the paper's. As
    m starts above 0, a first gradient of 0 moves the parameters.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """
    direction = scale_by_yogi(
        b1,
        b2,
        eps,
        initial_accumulator=initial_accumulator,
        bias_correction=bias_correction,
    )
    return chain(direction, LearningRate(learning_rate))
