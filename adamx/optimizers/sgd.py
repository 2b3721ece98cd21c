"""SGD: stochastic gradient descent, with optional momentum."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule, is_zero
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.learning_rate import LearningRate
from ..parts.moments import Identity, Momentum


@checked_keywords
def scale_by_sgd(
    momentum: ScalarOrSchedule | None = None,
    *,
    nesterov: bool = False,
    dampening: ScalarOrSchedule = 0.0,
) -> Rule:
    """Return SGD's momentum: `sgd` without learning rate and sign.

    Args:
        momentum: μ in [0, 1); None or the number 0 keeps nothing.
        nesterov: use Nesterov momentum, g + μ m; without momentum it does nothing.
        dampening: d in [0, 1], the share of the gradient left out after the first step.

    State: `momentum`, 4 bytes per parameter, unless the momentum is the number 0.

    Reference: Sutskever et al., "On the importance of initialization and momentum in
    deep learning", ICML 2013, eq. 1-4.
    """
    if momentum is None or is_zero(momentum):
        momentum, nesterov = 0.0, False
        if is_zero(dampening):
            return Identity()
    return Momentum(momentum, nesterov, dampening)


@checked_keywords
def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarOrSchedule | None = None,
    *,
    nesterov: bool = False,
    dampening: ScalarOrSchedule = 0.0,
) -> Chain:
    """SGD: step along the negative gradient, or along its momentum.

        first step:  m ← g
        then:        m ← μ m + (1 - d) g
        θ ← θ - α m,    or with Nesterov  θ ← θ - α (g + μ m)

    Args:
        learning_rate: α ≥ 0, in units of parameter per gradient.
        momentum: μ in [0, 1); None or the number 0 keeps nothing.
        nesterov: use Nesterov momentum, g + μ m; without momentum it does nothing.
        dampening: d in [0, 1], the share of the gradient left out after the first step.

    State: `momentum` (m, from 0), 4 bytes per parameter, and the count; without
    momentum the count alone.

    Departs from the paper: m does not contain the rate (torch, Optax), so that a
    change of the rate takes effect at once.

    Raises:
        ValueError: an argument out of its range; Nesterov momentum with dampening.
        TypeError: an argument that is no number, array or schedule.

    Reference: Robbins & Monro, "A stochastic approximation method", 1951; Sutskever et
    al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    eq. 1-4.
    """
    direction = scale_by_sgd(momentum, nesterov=nesterov, dampening=dampening)
    return chain(direction, LearningRate(learning_rate))
