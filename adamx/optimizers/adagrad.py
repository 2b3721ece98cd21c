"""AdaGrad: divide each gradient by the root of the sum of its past squares."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Identity, Sum, square


@checked_keywords
def scale_by_adagrad(
    eps: ScalarOrSchedule | Eps = 1e-10, *, initial_accumulator: ScalarOrSchedule = 0.0
) -> Rule:
    """Scale gradients as AdaGrad does: `adagrad` without learning rate and sign.

    Args:
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        initial_accumulator: s before the first step, at least 0.

    State: `sum_of_squares`; 4 bytes per parameter.

    Reference: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning
    and stochastic optimization", JMLR 12, 2011, Figure 1 (diagonal).
    """
    total = Sum(square, start=initial_accumulator)
    return Precondition(Identity(), by=RootPlusEps(total, eps))


@checked_keywords
def adagrad(
    learning_rate: ScalarOrSchedule,
    eps: ScalarOrSchedule | Eps = 1e-10,
    *,
    initial_accumulator: ScalarOrSchedule = 0.0,
) -> Chain:
    """AdaGrad: divide each gradient by the root of the sum of its past squares.

        s ← s + g²
        θ ← θ - α g / (sqrt(s) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        eps: ε ≥ 0 in units of the gradient, added to the root (torch), or an eps kind:
            `EpsInsideRoot(1e-7)` with `initial_accumulator=0.1` is Optax's and
            TensorFlow's.
        initial_accumulator: s before the first step, at least 0.

    State: `sum_of_squares` (s, from `initial_accumulator`); 4 bytes per parameter, and
    the count.

    Departs from the paper: ε stands outside the root, as the paper's δ does.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning
    and stochastic optimization", JMLR 12, 2011, Figure 1 (diagonal).
    """
    direction = scale_by_adagrad(eps, initial_accumulator=initial_accumulator)
    return chain(direction, LearningRate(learning_rate))
