"""Signum: the sign of the averaged gradient."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.directions import Sign
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, decoupled, with_rate


@checked_keywords
def scale_by_signum(beta: ScalarOrSchedule = 0.9) -> Chain:
    """Scale gradients as Signum does: `signum` without decay, learning rate and sign.

    Args:
        beta: β in [0, 1), the decay of the mean of the gradient.

    State: `mu`; 4 bytes per parameter.

    Reference: Bernstein et al., "signSGD: compressed optimisation for non-convex
    problems", ICML 2018, Algorithm 2, arXiv:1802.04434.
    """
    return chain(Ema(beta, public="beta"), Sign())


@checked_keywords
def signum(
    learning_rate: ScalarOrSchedule,
    beta: ScalarOrSchedule = 0.9,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """Signum: step by the sign of the averaged gradient.

        m ← β m + (1 - β) g
        θ ← θ - α (sign(m) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter: the size of every step.
        beta: β in [0, 1), the decay of m; at 0 it is signSGD (Algorithm 1).
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m, from 0); 4 bytes per parameter, and the count.

    Departs from the paper: the weight decay, which it does not have. Bias
    correction of m would change nothing.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Bernstein et al., "signSGD: compressed optimisation for non-convex
    problems", ICML 2018, Algorithm 2, arXiv:1802.04434.
    """
    decay = decoupled(weight_decay, mask)
    return chain(scale_by_signum(beta), *with_rate(learning_rate, *decay))
