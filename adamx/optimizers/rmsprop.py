"""RMSProp: divide the gradient by the root of a moving average of its square."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule, is_zero
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Centered, Ema, Identity, Momentum, square


@checked_keywords
def scale_by_rmsprop(
    decay: ScalarOrSchedule = 0.9,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    centered: bool = False,
    momentum: ScalarOrSchedule | None = None,
) -> Chain:
    """Scale gradients as RMSProp does: `rmsprop` without learning rate and sign.

    Args:
        decay: β in [0, 1), the weight of the past.
        eps: ε ≥ 0 in units of g², inside the root, or an eps kind.
        centered: divide by the standard deviation instead of the root mean square.
        momentum: μ in [0, 1) of a momentum of the direction, before the rate (torch);
            None or the number 0 keeps nothing.

    State: `nu`; centered also `mu`; with momentum also `momentum`; 4 bytes each.

    Reference: Tieleman & Hinton, "Lecture 6.5: RMSProp", Coursera, 2012.
    """
    moment = Ema(decay, square, "nu", public="decay")
    if centered:
        moment = Centered(moment, Ema(decay, public="decay"))
    direction = Precondition(Identity(), by=RootPlusEps(moment, eps, inside=True))
    return chain(direction, *_ball(momentum))


def _ball(
    momentum: ScalarOrSchedule | None, nesterov: bool = False
) -> tuple[Rule, ...]:
    if momentum is None or is_zero(momentum):
        return ()
    return (Momentum(momentum, nesterov),)


@checked_keywords
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: ScalarOrSchedule = 0.9,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    centered: bool = False,
    momentum: ScalarOrSchedule | None = None,
    nesterov: bool = False,
) -> Chain:
    """RMSProp: divide the gradient by the root of a moving average of its square.

        v ← β v + (1 - β) g²
        d = g / sqrt(v + ε)            centered: sqrt(v - m² + ε), m ← β m + (1 - β) g
        θ ← θ - α d,    with momentum  b ← μ b + α d,  θ ← θ - b

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        decay: β in [0, 1), the weight of the past.
        eps: ε ≥ 0 in units of g², inside the root (Optax, TensorFlow), or an eps kind:
            `EpsOutsideRoot(1e-8)` is torch's.
        centered: divide by the standard deviation instead of the root mean square.
        momentum: μ in [0, 1) of a momentum after the rate (Optax, TensorFlow); None or
            the number 0 keeps nothing. torch's, before the rate, is
            `chain(scale_by_rmsprop(momentum=μ), LearningRate(α))`.
        nesterov: use Nesterov momentum, as in `sgd`; without momentum it does nothing.

    State: `nu` (v), 4 bytes per parameter, and the count; centered also `mu` (m), with
    momentum also `momentum` (b), 4 bytes each; all from 0.

    Departs from the paper: the lecture has neither ε nor momentum nor centering.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Tieleman & Hinton, "Lecture 6.5: RMSProp", Coursera, 2012; centered:
    Graves, 2013, arXiv:1308.0850, eq. 38-45.
    """
    direction = scale_by_rmsprop(decay, eps, centered=centered)
    ball = _ball(momentum, nesterov)
    return chain(direction, LearningRate(learning_rate), *ball)
