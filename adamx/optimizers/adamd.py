"""AdamD: Adam without bias correction of the first moment, which acts as a warm-up."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.denominators import Eps, Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema
from .adam import adam_denominator


@checked_keywords
def scale_by_adamd(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdamD does: `adamd` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient, not corrected.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: St John, "AdamD: improved bias-correction in Adam", 2021,
    arXiv:2110.10828.
    """
    return Precondition(Ema(b1), by=adam_denominator(b2, eps))


@checked_keywords
def adamd(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Chain:
    """AdamD: Adam that does not correct the first moment's bias, an implicit warm-up.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²            v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α m / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter: the first step is (1 - β₁) α.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind: with
            `EpsBeforeCorrection(1e-8)` it is the paper's efficient form, the rate times
            sqrt(1 - β₂ᵗ).

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: nothing.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: St John, "AdamD: improved bias-correction in Adam", 2021,
    arXiv:2110.10828.
    """
    return chain(scale_by_adamd(b1, b2, eps), LearningRate(learning_rate))
