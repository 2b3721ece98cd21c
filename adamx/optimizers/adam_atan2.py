"""Adam-atan2: Adam with atan2 in place of the division, so without ε."""

from typing import Any

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import POSITIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import arctan2
from ..parts.bias_correction import Debiased
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import adam_denominator


class Atan2(Rule):
    """Divide by way of `a atan2(moment(g), b by(g))`, which needs no ε.

    The result is at most a π/2 in size, and finite where the denominator is 0.

    Args:
        moment: the numerator.
        by: the denominator.
        a: a > 0, which sets the size of a step.
        b: b > 0; the larger it is, the more quotients lie where atan2 is linear.
    """

    moment: Part = part()
    by: Part = part(kw_only=True)
    a: Hyper = hyper(1.27, allowed=POSITIVE, kw_only=True)
    b: Hyper = hyper(1.0, allowed=POSITIVE, kw_only=True)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        d, slots = self.by.apply(update, slots, ctx)
        return self.a * arctan2(m, self.b * d), slots


@checked_keywords
def scale_by_adam_atan2(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.99,
    *,
    a: ScalarOrSchedule = 1.27,
    b: ScalarOrSchedule = 1.0,
) -> Rule:
    """Scale gradients as Adam-atan2 does: `adam_atan2` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        a: a > 0, the size of a step relative to Adam's.
        b: b > 0, which multiplies the denominator.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Everett et al., "Scaling exponents across parameterizations and
    optimizers", ICML 2024, arXiv:2407.05872.
    """
    root = adam_denominator(b2, 0.0)
    return Atan2(Debiased(Ema(b1)), by=root, a=a, b=b)


@checked_keywords
def adam_atan2(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.99,
    *,
    a: ScalarOrSchedule = 1.27,
    b: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """Adam-atan2: replace Adam's division by atan2, which is scale-invariant without ε.

        u = a atan2(m̂, b sqrt(v̂))            (m̂ and v̂ as in `adam`)
        θ ← θ - α (u + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        a: a > 0; 1.27 = 4/π makes the step 1 where m̂ = sqrt(v̂).
        b: b > 0, which multiplies the denominator.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m, from 0), `nu` (v, from 0); 8 bytes per parameter, and the count.

    Departs from the paper: the weight decay, as in AdamW; the defaults of β₂, a and b,
    which are those of the code in use (its authors have published none), whose rate is
    1e-4; ours is Adam's. atan2(0, 0) is 0.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Everett et al., "Scaling exponents across parameterizations and
    optimizers", ICML 2024, arXiv:2407.05872.
    """
    direction = scale_by_adam_atan2(b1, b2, a=a, b=b)
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))
