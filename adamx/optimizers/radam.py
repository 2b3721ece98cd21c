"""RAdam: Adam with a rectified rate, which warms up by the variance of 1 / sqrt(v̂)."""

from typing import Any

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import Eps, Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema
from .adam import adam_denominator


def _check_reached(b2: Any, threshold: Any) -> None:
    """Raise an error if ρ_t, which tends to 2 / (1 - β₂) - 1, stays below a threshold.

    Then no step would ever be taken.
    """
    if not (isinstance(b2, int | float) and isinstance(threshold, int | float)):
        return
    if 0 <= b2 < 1 and 2 / (1 - b2) - 1 <= threshold:
        raise errors.AdamxError(
            f"radam: `b2` must be above {1 - 2 / (threshold + 1):.3g} where "
            f"degenerate='skip' and threshold={threshold!r}, got {b2!r}. ρ_t would "
            f"never exceed the threshold, and no step be taken; pass a larger b2."
        )


@checked_keywords
def scale_by_radam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    threshold: ScalarOrSchedule = 5.0,
    degenerate: str = "momentum",
) -> Rule:
    """Scale gradients as RAdam does: `radam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-8)`
            is torch's.
        threshold: see `radam`.
        degenerate: see `radam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    if degenerate not in ("momentum", "skip"):
        raise errors.AdamxError(
            f"radam: `degenerate` must be 'momentum' or 'skip', got {degenerate!r}. "
            f"'skip' takes no step while ρ_t is at most the threshold."
        )
    if degenerate == "skip":
        _check_reached(b2, threshold)
    root = adam_denominator(b2, eps)
    by = Rectified(root, threshold, skip=degenerate == "skip")
    return Precondition(Debiased(Ema(b1)), by=by)


@checked_keywords
def radam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    threshold: ScalarOrSchedule = 5.0,
    degenerate: str = "momentum",
) -> Chain:
    """RAdam: Adam that rectifies its rate by the variance of 1 / sqrt(v̂).

        ρ_∞ = 2 / (1 - β₂) - 1,    ρ_t = ρ_∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        ρ_t > threshold:  θ ← θ - α r_t m̂ / (sqrt(v̂) + ε),
            r_t² = (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t)
        otherwise:        θ ← θ - α m̂     (or no step)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-8)`
            is torch's.
        threshold: the length ρ_t above which v̂ is used, at least 4. The
            paper's listing says 4; the authors' code, torch and Optax say 5, the
            default. At β₂ = .999 the two differ in step 5 only.
        degenerate: what is done below the threshold: "momentum" steps along m̂, which is
            not normalised (the paper, torch, Optax); "skip" takes no step, which is the
            default of the authors' code (`degenerated_to_sgd=False`).

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: ε, which the listing leaves out; the default threshold. ρ_t
    is computed in a form that does not cancel (`adamx.numerics.arithmetic.rho`). The
    authors' code is `radam(α, eps=EpsBeforeCorrection(1e-8), degenerate="skip")`, which
    moves nothing in the first 5 steps at β₂ = .999; it has ρ_t ≥ 5.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    direction = scale_by_radam(b1, b2, eps, threshold=threshold, degenerate=degenerate)
    return chain(direction, LearningRate(learning_rate))
