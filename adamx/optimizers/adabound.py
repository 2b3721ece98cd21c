"""Adam whose rates are bounded element by element: AdaBound and AdaMod."""

from ..element_rates import BoundedRate, CorrectedByRate, MomentalRate
from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Root, before_correction
from ..parts.learning_rate import Descent
from ..parts.moments import Ema, square


@alias
def scale_by_adabound(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    final_lr: Hyper = 0.1,
    gamma: Hyper = 1e-3,
    learning_rate: Hyper = 1.0,
) -> Rule:
    """AdaBound's direction, with the rate inside its bounds: `adabound` without sign.

    Left at 1, a `LearningRate` that follows scales the bounds too: `final_lr` is then
    in units of the rate, which is how the authors' code treats a changing rate.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        final_lr: η* > 0, the rate that is left when the bounds have closed.
        gamma: γ > 0, the speed at which they close.
        learning_rate: α ≥ 0, what is bounded.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """
    return BoundedRate(
        CorrectedByRate(Debiased(Ema(b1))),
        by=Root(Debiased(Ema(b2, square, "nu")), before_correction(eps)),
        learning_rate=learning_rate,
        final_lr=final_lr,
        gamma=gamma,
    )


@alias
def adabound(
    learning_rate: Hyper = 1e-3,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    final_lr: Hyper = 0.1,
    gamma: Hyper = 1e-3,
) -> Chain:
    """AdaBound: from Adam to SGD, by bounds on every rate that close on one.

        m, v as in `adam`, not corrected
        η = α sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) / (sqrt(v) + ε)
        η ← min(max(η, η* (1 - 1 / (γ t + 1))), η* (1 + 1 / (γ t)))
        θ ← θ - η m

    Args:
        learning_rate: α ≥ 0, the rate of the first steps, as Adam's.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        final_lr: η* > 0, the rate of the last steps, as SGD's. It does not follow a
            scheduled rate: give it a schedule of its own, or use `scale_by_adabound`.
        gamma: γ > 0, the speed at which the bounds close.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: it is the authors' code, with Adam's corrections, ε, no
    1 / sqrt(t), and γ where the paper has 1 - β₂. The paper's listing is
    `chain(BoundedRate(Ema(b1), by=Root(Ema(b2, square, "nu"), 0.0), learning_rate=α,
    gamma=1 - b2), LearningRate(lambda k: (k + 1) ** -0.5))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """
    direction = scale_by_adabound(
        b1, b2, eps, final_lr=final_lr, gamma=gamma, learning_rate=learning_rate
    )
    return chain(direction, Descent())


@alias
def scale_by_adamod(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    b3: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    corrected_rate: bool = False,
    learning_rate: Hyper = 1.0,
) -> Rule:
    """AdaMod's direction, with the rate inside: `adamod` without sign.

    Left at 1, a constant `LearningRate` that follows comes to the same; a changing one
    is then not averaged.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of the mean of the rates.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        corrected_rate: see `adamod`.
        learning_rate: α ≥ 0, what is averaged and bounded.

    State: `mu`, `nu`, `rate`; 12 bytes per parameter.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """
    moment = Debiased(Ema(b1))
    return MomentalRate(
        CorrectedByRate(moment) if corrected_rate else moment,
        by=Root(Debiased(Ema(b2, square, "nu")), eps),
        learning_rate=learning_rate,
        decay=b3,
    )


@alias
def adamod(
    learning_rate: Hyper = 1e-3,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    b3: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    corrected_rate: bool = False,
) -> Chain:
    """AdaMod: Adam whose rates are at most the average of the rates before.

        η = α / (sqrt(v̂) + ε)            (m̂ and v̂ as in `adam`)
        s ← β₃ s + (1 - β₃) η
        θ ← θ - min(η, s) m̂

    Args:
        learning_rate: α ≥ 0, in units of the parameter. s starts at zero and is not
            corrected, which warms the rate up over 1 / (1 - β₃) steps.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of s, the memory of the rates.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        corrected_rate: let the rate carry the correction of the mean, η / (1 - β₁ᵗ), so
            that it is averaged and bounded too; with `eps=HatEps(1e-8)` this is the
            authors' code. The default is the paper's listing.

    State: `mu`, `nu`, `rate` (s), all from zero; 12 bytes per parameter, and the count.

    Departs from the paper: nothing; with ε = 0 the rate of an element that has seen no
    gradient is 0, where the paper's is infinite.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Ding et al., "An adaptive and momental bound method for stochastic
    learning", 2019, Algorithm 1, arXiv:1910.12249.
    """
    direction = scale_by_adamod(
        b1, b2, b3, eps, corrected_rate=corrected_rate, learning_rate=learning_rate
    )
    return chain(direction, Descent())
