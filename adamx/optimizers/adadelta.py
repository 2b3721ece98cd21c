"""AdaDelta: scale the gradient by RMS(past steps) / RMS(gradients)."""

from typing import Any

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp, safe_divide
from ..parts.denominators import Eps, EpsInsideRoot
from ..parts.learning_rate import LearningRate
from ..parts.weight_decay import decoupled


class AdadeltaDirection(Rule):
    """Scale the gradient by RMS(past steps) / RMS(g), in units of the parameter.

        v ← ρ v + (1 - ρ) g²,    u = g RMS(s) / RMS(v),    s ← ρ s + (1 - ρ) u²

    Args:
        rho: ρ in [0, 1), the weight of the past in both averages.
        eps: ε ≥ 0, under both roots (RMS(x) = sqrt(x + ε)), or an eps kind.
    """

    rho: Hyper = hyper(0.9, allowed=FRACTION)
    eps: Hyper | Eps = hyper(1e-6, allowed=NON_NEGATIVE, or_part=Eps)

    def slots(self) -> dict[str, Slot]:
        return {"nu": Slot(signed=False), "squared_steps": Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        rms = (
            self.eps if isinstance(self.eps, Eps) else EpsInsideRoot(self.eps)
        ).denominator
        v = lerp(slots["nu"], update * update, self.rho)
        s = slots["squared_steps"]
        u = safe_divide(rms(s, 1.0) * update, rms(v, 1.0))
        s = lerp(s, u * u, self.rho)
        return u, slots | {"nu": v, "squared_steps": s}


@checked_keywords
def scale_by_adadelta(
    rho: ScalarOrSchedule = 0.9, eps: ScalarOrSchedule | Eps = 1e-6
) -> Rule:
    """Scale gradients as AdaDelta does: `adadelta` without decay, rate and sign.

    Args:
        rho: ρ in [0, 1), the weight of the past in both averages.
        eps: ε ≥ 0, under both roots, or an eps kind.

    State: `nu`, `squared_steps`; 8 bytes per parameter.

    Reference: Zeiler, "ADADELTA: an adaptive learning rate method", 2012, Algorithm 1,
    arXiv:1212.5701.
    """
    return AdadeltaDirection(rho, eps)


@checked_keywords
def adadelta(
    learning_rate: ScalarOrSchedule = 1.0,
    rho: ScalarOrSchedule = 0.9,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Any = None,
) -> Chain:
    """AdaDelta: scale the gradient by RMS(past steps) / RMS(gradients).

        g ← g + λ θ
        v ← ρ v + (1 - ρ) g²
        u = g sqrt(s + ε) / sqrt(v + ε)
        s ← ρ s + (1 - ρ) u²
        θ ← θ - α u

    Args:
        learning_rate: α ≥ 0, without a unit; 1 is the paper's method, which has none.
        rho: ρ in [0, 1), the weight of the past in both averages.
        eps: ε ≥ 0, under both roots, or an eps kind. It sets the length of the first
            steps, before which s is 0.
        weight_decay: λ ≥ 0, coupled (in the gradient), as in torch and Optax; the
            number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `nu` (v, from 0), `squared_steps` (s, from 0); 8 bytes per parameter, and
    the count.

    Departs from the paper: the learning rate, which does not enter s, and the decay.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zeiler, "ADADELTA: an adaptive learning rate method", 2012, Algorithm 1,
    arXiv:1212.5701.
    """
    decay = decoupled(weight_decay, mask)
    return chain(*decay, scale_by_adadelta(rho, eps), LearningRate(learning_rate))
