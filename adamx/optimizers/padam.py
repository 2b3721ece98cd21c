"""Padam: AMSGrad with a partial power 2p of the denominator."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper, Interval, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps, before_correction
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, RunningMax, square


class PartialPower(Rule):
    """Raise a denominator to the power 2p: 1 for p = 0, unchanged for p = 1/2.

    The correction of its moment stays a square root whatever p is, as in the authors'
    code: with (sqrt(v) + ε) / sqrt(w) for D it is (sqrt(v) + ε)**(2 p) / sqrt(w).

    Args:
        denominator: D, such as `RootPlusEps(RunningMax(Ema(0.999, square, "nu")),
            EpsBeforeCorrection(1e-8))`.
        p: the power of the squares, in [0, 1/2].
    """

    denominator: Part = part()
    p: Hyper = hyper(
        0.25,
        allowed=Interval(
            0.0, 0.5, "[]", "It is the power of the squares; 1/2 is the usual root."
        ),
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        d, slots = self.denominator.apply(update, slots, ctx)
        none = d == 0
        power = jnp.where(none, 0, jnp.where(none, 1, d) ** (2 * self.p))
        weight = ctx.shared.get(f"{self.denominator.moment.name}_weight")
        if weight is not None:
            power = power * weight ** (self.p - 0.5)
        return power, slots


@checked_keywords
def scale_by_padam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    p: ScalarOrSchedule = 0.25,
    bias_correction: bool = False,
) -> Rule:
    """Scale gradients as Padam does: `padam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        p: the power of the squares, in [0, 1/2].
        bias_correction: correct as the authors' code.

    State: `mu`, `nu`, `nu_max`; 12 bytes per parameter.

    Reference: Chen et al., "Closing the generalization gap of adaptive gradient methods
    in training deep neural networks", IJCAI 2020, Algorithm 1, arXiv:1806.06763.
    """
    m, v = Ema(b1), RunningMax(Ema(b2, square, "nu"))
    root = RootPlusEps(Debiased(v) if bias_correction else v, before_correction(eps))
    moment = Debiased(m) if bias_correction else m
    return Precondition(moment, by=PartialPower(root, p))


@checked_keywords
def padam(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    p: ScalarOrSchedule = 0.25,
    bias_correction: bool = False,
) -> Chain:
    """Padam: AMSGrad that raises its denominator to a partial power 2p.

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²            v̂ ← max(v̂, v)
        θ ← θ - α m / (sqrt(v̂) + ε)**(2 p)

    Args:
        learning_rate: α ≥ 0; between Adam's and SGD's, as p is.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        p: the power of the squares, in [0, 1/2]: 0 is SGD with momentum, 1/2 AMSGrad.
        bias_correction: multiply the rate by sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ), whatever p is,
            as the authors' code does. The paper does not.

    State: `mu` (m), `nu` (v), `nu_max` (v̂), all from zero; 12 bytes per parameter, and
    the count.

    Departs from the paper: ε, which is that of the authors' code.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Chen et al., "Closing the generalization gap of adaptive gradient methods
    in training deep neural networks", IJCAI 2020, Algorithm 1, arXiv:1806.06763.
    """
    direction = scale_by_padam(b1, b2, eps, p=p, bias_correction=bias_correction)
    return chain(direction, LearningRate(learning_rate))
