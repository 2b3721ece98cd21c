"""RAdam: Adam with a rectified rate, which warms up by the variance of 1 / sqrt(v̂)."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import Eps, Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema
from .adam import adam_denominator


@checked_keywords
def scale_by_radam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    threshold: ScalarOrSchedule = 5.0,
) -> Rule:
    """Scale gradients as RAdam does: `radam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-8)`
            is torch's.
        threshold: see `radam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    root = adam_denominator(b2, eps)
    return Precondition(Debiased(Ema(b1)), by=Rectified(root, threshold))


@checked_keywords
def radam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    threshold: ScalarOrSchedule = 5.0,
) -> Chain:
    """RAdam: Adam that rectifies its rate by the variance of 1 / sqrt(v̂).

        ρ_∞ = 2 / (1 - β₂) - 1,    ρ_t = ρ_∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        ρ_t > threshold:  θ ← θ - α r_t m̂ / (sqrt(v̂) + ε),
            r_t² = (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t)
        otherwise:        θ ← θ - α m̂

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-8)`
            is torch's.
        threshold: the length ρ_t above which v̂ is used, at least 4. The
            paper's listing says 4; the authors' code, torch and Optax say 5, the
            default. At β₂ = .999 the two differ in step 5 only.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: ε, which the listing leaves out; the default threshold. ρ_t
    is computed in a form that does not cancel (`adamx.numerics.arithmetic.rho`).

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    direction = scale_by_radam(b1, b2, eps, threshold=threshold)
    return chain(direction, LearningRate(learning_rate))
