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
    initial_accumulator: ScalarOrSchedule = 0.1, eps: ScalarOrSchedule | Eps = 1e-7
) -> Rule:
    """Scale gradients as AdaGrad does: `adagrad` without learning rate and sign.

    Args:
        initial_accumulator: s before the first step, at least 0.
        eps: ε ≥ 0 in units of g², inside the root, or an eps kind.

    State: `sum_of_squares`; 4 bytes per parameter.

    Reference: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning
    and stochastic optimization", JMLR 12, 2011, Figure 1 (diagonal).
    """
    total = Sum(square, start=initial_accumulator)
    return Precondition(Identity(), by=RootPlusEps(total, eps, inside=True))


@checked_keywords
def adagrad(
    learning_rate: ScalarOrSchedule,
    initial_accumulator: ScalarOrSchedule = 0.1,
    eps: ScalarOrSchedule | Eps = 1e-7,
) -> Chain:
    """AdaGrad: divide each gradient by the root of the sum of its past squares.

        s ← s + g²
        θ ← θ - α g / sqrt(s + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        initial_accumulator: s before the first step, at least 0. The paper and torch
            start at 0.
        eps: ε ≥ 0 in units of g², inside the root (Optax, TensorFlow), or an eps kind:
            `EpsOutsideRoot(1e-10)` with `initial_accumulator=0` is torch's.

    State: `sum_of_squares` (s, from `initial_accumulator`); 4 bytes per parameter, and
    the count.

    Departs from the paper: s starts at 0.1 and ε is inside the root, as in Optax and
    TensorFlow. The paper's δ is outside: `adagrad(α, 0, EpsOutsideRoot(δ))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning
    and stochastic optimization", JMLR 12, 2011, Figure 1 (diagonal).
    """
    direction = scale_by_adagrad(initial_accumulator, eps)
    return chain(direction, LearningRate(learning_rate))
