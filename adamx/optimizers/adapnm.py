"""AdaPNM: AMSGrad with positive-negative momentum, which amplifies gradient noise."""

from typing import Any

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.moments import Ema, RunningMax, square
from ..parts.weight_decay import Decay, decoupled, with_rate


class PositiveNegativeMomentum(Rule):
    """Combine two alternating averages, one added and one subtracted (AdaPNM).

        m_t = β² m_{t-2} + (1 - β²) g_t
        returns ((1 + β₃) m_t - β₃ m_{t-1}) / sqrt((1 + β₃)² + β₃²)

    Args:
        decay: β in [0, 1).
        balance: β₃ ≥ 0, the weight of the older average, which is subtracted.
        name: the slot of m_t; m_{t-1} is in `<name>_before`. Both start at zero.
    """

    decay: Hyper = hyper(
        allowed=FRACTION.but("Its square is the weight of the past."),
        public="b1",
    )
    balance: Hyper = hyper(
        1.0,
        allowed=NON_NEGATIVE.but("It weighs the older average."),
        public="b3",
    )
    name: str = option("mu")

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(), f"{self.name}_before": Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        before, b3 = slots[self.name], self.balance
        m = lerp(slots[f"{self.name}_before"], update, self.decay * self.decay)
        size = ((1 + b3) ** 2 + b3**2) ** 0.5
        u = ((1 + b3) * m - b3 * before) / size
        return u, slots | {self.name: m, f"{self.name}_before": before}


@checked_keywords
def scale_by_adapnm(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 1.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdaPNM does: `adapnm` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1); its square is the decay of the two averages.
        b2: β₂ in [0, 1), the decay of the mean of the square.
        b3: β₃ ≥ 0, the weight of the older average, which is subtracted.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.

    State: `mu`, `mu_before`, `nu`, `nu_max`; 16 bytes per parameter.

    Reference: Xie et al., "Positive-negative momentum: manipulating stochastic gradient
    noise to improve generalization", ICML 2021, AdaPNM, arXiv:2103.17182.
    """
    root = RootPlusEps(Debiased(RunningMax(Ema(b2, square, "nu"))), eps)
    return Precondition(Debiased(PositiveNegativeMomentum(b1, b3)), by=root)


@checked_keywords
def adapnm(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 1.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """AdaPNM: AMSGrad with positive-negative momentum, which amplifies gradient noise.

        m_t = β₁² m_{t-2} + (1 - β₁²) g_t
        m̂ = ((1 + β₃) m_t - β₃ m_{t-1}) / (1 - β₁ᵗ)
        v̂ = max(v_1, …, v_t) / (1 - β₂ᵗ)            (v as in `adam`)
        θ ← θ - α m̂ / sqrt((1 + β₃)² + β₃²) / (sqrt(v̂) + ε) - α λ θ

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1); its square is the decay of the two averages, each of every
            other gradient.
        b2: β₂ in [0, 1), the decay of v.
        b3: β₃ ≥ 0, the paper's β₀: the weight of the older average, which is
            subtracted.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, decoupled.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.

    State: `mu` (m_t), `mu_before` (m_{t-1}), `nu` (v), `nu_max`, all from zero; 16
    bytes per parameter, and the count.

    Departs from the paper: it is the authors' code. 1 - β₁ᵗ is exact for neither of the
    two averages; both are divided by it.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Xie et al., "Positive-negative momentum: manipulating stochastic gradient
    noise to improve generalization", ICML 2021, AdaPNM, arXiv:2103.17182.
    """
    direction = scale_by_adapnm(b1, b2, b3, eps)
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))
