"""AMSGrad: Adam that divides by the root of the largest second moment so far."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, RunningMax, square


@checked_keywords
def scale_by_amsgrad(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    largest_first: bool = False,
) -> Rule:
    """Scale gradients as AMSGrad does: `amsgrad` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        bias_correction_mu: divide m by 1 - β₁ᵗ.
        bias_correction_nu: divide v by 1 - β₂ᵗ.
        largest_first: take the largest v before it is corrected (torch).

    State: `mu`, `nu`, `nu_max`; 12 bytes per parameter.

    Reference: Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018,
    Algorithm 2, arXiv:1904.09237.
    """
    m, v = Ema(b1), Ema(b2, square, "nu")
    if not bias_correction_nu:
        largest = RunningMax(v)
    elif largest_first:
        largest = Debiased(RunningMax(v))
    else:
        largest = RunningMax(Debiased(v))
    moment = Debiased(m) if bias_correction_mu else m
    return Precondition(moment, by=RootPlusEps(largest, eps))


@checked_keywords
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    largest_first: bool = False,
) -> Chain:
    """AMSGrad: Adam that divides by the root of the largest second moment so far.

        m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²           v̂ ← max(v̂, v / (1 - β₂ᵗ))
        θ ← θ - α m̂ / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        bias_correction_mu: divide m by 1 - β₁ᵗ.
        bias_correction_nu: divide v by 1 - β₂ᵗ. The paper corrects neither.
        largest_first: take the largest v before it is corrected (torch).

    State: `mu` (m), `nu` (v), `nu_max` (v̂), all from zero; 12 bytes per parameter, and
    the count.

    Departs from the paper: both averages are corrected, as in Optax, and ε. With
    the default the denominator never shrinks, which the paper's proof requires; torch's
    shrinks, since its largest v is divided by a growing 1 - β₂ᵗ.
    With both corrections off it is the paper's, but for ε.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018,
    Algorithm 2, arXiv:1904.09237.
    """
    direction = scale_by_amsgrad(
        b1,
        b2,
        eps,
        bias_correction_mu=bias_correction_mu,
        bias_correction_nu=bias_correction_nu,
        largest_first=largest_first,
    )
    return chain(direction, LearningRate(learning_rate))
