"""QHAdam: Adam with quasi-hyperbolic averages in both moments."""

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import UNIT, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import lerp
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Reading, gradient, square


class QuasiHyperbolic(Rule):
    """Mix a moment with the current value of its statistic, `ν m + (1 - ν) f(g)`.

    Args:
        moment: such as `Debiased(Ema(0.995))`.
        share: ν in [0, 1]; 1 is the moment alone.
        of: the statistic f of the gradient, the same as the moment's.
        public: the public name of `share`.
    """

    moment: Part = part()
    share: Hyper = hyper(
        allowed=UNIT.but("It is the share of the moment; the gradient's is the rest."),
        public=lambda self: self.public,
    )
    of: Reading = gradient
    public: str = option("nu1")

    @property
    def name(self) -> str:
        return self.moment.name

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, after = self.moment.apply(update, slots, ctx)
        return lerp(m, self.of(update, slots), self.share), after


@checked_keywords
def scale_by_qhadam(
    b1: ScalarOrSchedule = 0.995,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    nu1: ScalarOrSchedule = 0.7,
    nu2: ScalarOrSchedule = 1.0,
) -> Rule:
    """Scale gradients as QHAdam does: `qhadam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        nu1: ν₁ in [0, 1], the share of the mean in the numerator.
        nu2: ν₂ in [0, 1], the share of the mean square in the denominator.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Ma & Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", ICLR
    2019, section 4, arXiv:1810.06801.
    """
    m = QuasiHyperbolic(Debiased(Ema(b1)), nu1)
    v = QuasiHyperbolic(Debiased(Ema(b2, square, "nu")), nu2, square, public="nu2")
    return Precondition(m, by=RootPlusEps(v, eps))


@checked_keywords
def qhadam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.995,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    nu1: ScalarOrSchedule = 0.7,
    nu2: ScalarOrSchedule = 1.0,
) -> Chain:
    """QHAdam: Adam that mixes the current gradient into both moments.

        θ ← θ - α ((1 - ν₁) g + ν₁ m̂) / (sqrt((1 - ν₂) g² + ν₂ v̂) + ε)
            (m̂ and v̂ as in `adam`)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        nu1: ν₁ in [0, 1], the share of the mean in the numerator; ν₁ = ν₂ = 1 is Adam.
        nu2: ν₂ in [0, 1], the share of the mean square in the denominator.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: nothing. The defaults are those that it recommends; its code
    has those of Adam.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ma & Yarats, "Quasi-hyperbolic momentum and Adam for deep learning", ICLR
    2019, section 4, arXiv:1810.06801.
    """
    direction = scale_by_qhadam(b1, b2, eps, nu1=nu1, nu2=nu2)
    return chain(direction, LearningRate(learning_rate))
