"""AdaBelief: Adam whose second moment averages (g - m)²."""

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, MomentRule, SquaredDeviation
from ..parts.nesterov import Nesterov


@checked_keywords
def scale_by_adabelief(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-16,
    eps_root: ScalarOrSchedule = 1e-16,
    *,
    nesterov: bool = False,
    rectify: bool = False,
) -> Rule:
    """Scale gradients as AdaBelief does: `adabelief` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of (g - m)².
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_root: ε_root ≥ 0, added to the second moment at every step.
        nesterov: use Nesterov momentum, as `nadam`.
        rectify: rectify the rate, as `radam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in
    observed gradients", NeurIPS 2020, Algorithm 2, arXiv:2010.07468.
    """
    m = Debiased(Ema(b1))
    s = AddEpsEachStep(Ema(b2, SquaredDeviation("mu"), "nu"), eps_root)
    root = RootPlusEps(Debiased(s), eps)
    moment = Nesterov(m) if nesterov else m
    return Precondition(moment, by=Rectified(root) if rectify else root)


@checked_keywords
def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-16,
    eps_root: ScalarOrSchedule = 1e-16,
    *,
    nesterov: bool = False,
    rectify: bool = False,
) -> Chain:
    """AdaBelief: Adam whose second moment averages (g - m)², not g².

        m ← β₁ m + (1 - β₁) g                    m̂ = m / (1 - β₁ᵗ)
        s ← β₂ s + (1 - β₂) (g - m)² + ε_root    ŝ = s / (1 - β₂ᵗ)
        θ ← θ - α m̂ / (sqrt(ŝ) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m, the mean of the gradient.
        b2: β₂ in [0, 1), the decay of s, the mean of (g - m)².
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_root: ε_root ≥ 0 in units of the squared gradient; it adds up over the
            steps to ε_root / (1 - β₂).
        nesterov: use Nesterov momentum, as `nadam`.
        rectify: rectify the rate, as `radam`; with
            `eps=EpsBeforeCorrection(1e-16)` it is the default of the authors' code.

    State: `mu` (m), `nu` (s), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: its one ε is split into `eps` and `eps_root`, as in Optax.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in
    observed gradients", NeurIPS 2020, Algorithm 2, arXiv:2010.07468.
    """
    direction = scale_by_adabelief(
        b1, b2, eps, eps_root, nesterov=nesterov, rectify=rectify
    )
    return chain(direction, LearningRate(learning_rate))


_ROOT = NON_NEGATIVE.but("It is added to the average at every step.")


class AddEpsEachStep(MomentRule):
    """Add ε to a moment at every step, as AdaBelief does.

        s ← s' + ε,    s' the moment of the step

    Args:
        moment: such as `Ema(0.999, SquaredDeviation("mu"), "nu")`.
        eps_root: ε ≥ 0, in units of the moment.
    """

    eps_root: Hyper = hyper(1e-16, allowed=_ROOT)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        s, slots = self.moment.apply(update, slots, ctx)
        s = s + self.eps_root
        return s, slots | {self.name: s}
