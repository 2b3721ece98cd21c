"""LaProp: Adam that divides by the second moment's root before it averages."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition
from ..parts.moments import Ema, Identity
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import adam_denominator


@checked_keywords
def scale_by_laprop(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-15,
) -> Chain:
    """Scale gradients as LaProp does: `laprop` without decay, learning rate and sign.

    Args:
        b1: μ in [0, 1), the decay of the mean of the normalised gradient.
        b2: ν in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.

    State: `nu`, `mu`; 8 bytes per parameter.

    Reference: Ziyin, Wang & Ueda, "LaProp: separating momentum and adaptivity in Adam",
    2020, Algorithm 1, arXiv:2002.04839.
    """
    root = adam_denominator(b2, eps)
    return chain(Precondition(Identity(), by=root), Debiased(Ema(b1)))


@checked_keywords
def laprop(
    learning_rate: ScalarOrSchedule = 4e-4,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-15,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """LaProp: Adam that divides by the second moment's root before it averages.

        v ← ν v + (1 - ν) g²                              v̂ = v / (1 - νᵗ)
        m ← μ m + (1 - μ) g / (sqrt(v̂) + ε)               m̂ = m / (1 - μᵗ)
        θ ← θ - α (m̂ + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: μ in [0, 1), the decay of the mean of the normalised gradient.
        b2: ν in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, times the rate; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `nu` (v, from 0), `mu` (m, from 0); 8 bytes per parameter, and the count.

    Departs from the paper: the weight decay, as in AdamW. The authors' code decays
    after the step and does not multiply by the rate: `chain(scale_by_laprop(),
    LearningRate(α), WeightDecayAfterStep(λ))`, so that the same λ decays 1 / α times as
    much. It also has the rate inside the average, which differs if the rate is
    scheduled: `chain(scale_by_laprop(), LearningRate(α))` scales the whole average.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ziyin, Wang & Ueda, "LaProp: separating momentum and adaptivity in Adam",
    2020, Algorithm 1, arXiv:2002.04839.
    """
    decay = decoupled(weight_decay, mask)
    return chain(scale_by_laprop(b1, b2, eps), *with_rate(learning_rate, *decay))
