"""AdaMod: Adam with a rate for each element, bounded by the average of its rates."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule, merge_slots
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps
from ..parts.learning_rate import Negate
from ..parts.moments import Ema
from .adabound import UncorrectedMoment, _ElementRate
from .adam import adam_denominator


class MomentalBound(_ElementRate):
    """Multiply a moment by min(η, s), where s averages the rates η (AdaMod).

        η = α / D,    s ← β s + (1 - β) η

    Where D is 0, as before the first gradient, the rate is 0.

    Args:
        moment: m, such as `Debiased(Ema(0.9))`.
        by: the denominator D.
        learning_rate: α ≥ 0.
        decay: β in [0, 1), the decay of the average of the rates.
        name: the slot that holds s, from zero.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """

    decay: Hyper = hyper(
        0.999,
        allowed=FRACTION.but("It is the weight of the past rates."),
        kw_only=True,
        public="b3",
    )
    name: str = option("rate")

    def slots(self) -> dict[str, Slot]:
        return merge_slots(self) | {self.name: Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, rate, slots = self._rate(update, slots, ctx, 0.0)
        s = lerp(slots[self.name], rate, self.decay)
        return jnp.minimum(rate, s) * m, slots | {self.name: s}


@checked_keywords
def scale_by_adamod(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    corrected_rate: bool = False,
    learning_rate: ScalarOrSchedule = 1.0,
) -> Rule:
    """Scale gradients as AdaMod does, learning rate included, without the sign.

    If `learning_rate` stays 1, a constant `LearningRate` that follows has the same
    effect; a scheduled one is then not averaged.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of the mean of the rates.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        corrected_rate: see `adamod`.
        learning_rate: α ≥ 0, the numerator of the rates that are averaged.

    State: `mu`, `nu`, `rate`; 12 bytes per parameter.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """
    moment = Debiased(Ema(b1))
    return MomentalBound(
        UncorrectedMoment(moment) if corrected_rate else moment,
        by=adam_denominator(b2, eps),
        learning_rate=learning_rate,
        decay=b3,
    )


@checked_keywords
def adamod(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    corrected_rate: bool = False,
) -> Chain:
    """AdaMod: Adam whose per-element rates are bounded by their moving average.

        η = α / (sqrt(v̂) + ε)            (m̂ and v̂ as in `adam`)
        s ← β₃ s + (1 - β₃) η
        θ ← θ - min(η, s) m̂

    Args:
        learning_rate: α ≥ 0, in units of the parameter. s starts at zero and is not
            corrected, which warms the rate up over 1 / (1 - β₃) steps.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of s, the average of the rates.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        corrected_rate: apply the correction of the mean to the rate, η / (1 - β₁ᵗ), so
            that it is averaged and bounded too; with
            `eps=EpsBeforeCorrection(1e-8)` this is the authors' code. The
            default is the paper's listing.

    State: `mu`, `nu`, `rate` (s), all from zero; 12 bytes per parameter, and the count.

    Departs from the paper: nothing; with ε = 0 the rate of an element that has seen no
    gradient is 0, where the paper's is infinite.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """
    direction = scale_by_adamod(
        b1, b2, b3, eps, corrected_rate=corrected_rate, learning_rate=learning_rate
    )
    return chain(direction, Negate())
