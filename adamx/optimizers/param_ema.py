"""A moving average (EMA) of the parameters of any optimizer, for evaluation."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..parts.parameter_averages import ParamEma


@checked_keywords
def param_ema(tx: Any, decay: ScalarOrSchedule = 0.999) -> Chain:
    """Keep a bias-corrected moving average (EMA) of any optimizer's parameters.

        θ̄ ← β θ̄ + (1 - β) θ,    evaluate at θ̄ / (1 - βᵗ)

    Args:
        tx: the transformation that moves the parameters, with its rate.
        decay: β in [0, 1).

    State: that of `tx`, and `average`, 4 bytes per parameter, and two scalars. The
    parameters from which `average` starts get no weight in it.

    Departs from the paper: nothing.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    section 7.2, arXiv:1412.6980.
    """
    return chain(tx, ParamEma(decay))
