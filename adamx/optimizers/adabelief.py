"""Adam with another second moment: AdaBelief, Yogi, M-SVAG."""

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, Surprise, square
from ..parts.nesterov import Nesterov
from ..variances import Additive, Raised, VarianceAdapted


@alias
def scale_by_adabelief(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-16,
    eps_root: Hyper = 1e-16,
    *,
    nesterov: bool = False,
    rectify: bool = False,
) -> Rule:
    """AdaBelief's direction: `adabelief` without rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the squared surprise.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_root: ε ≥ 0 inside the average.
        nesterov: look ahead as `nadam`.
        rectify: wait for the variance as `radam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in
    observed gradients", NeurIPS 2020, Algorithm 2, arXiv:2010.07468.
    """
    m = Debiased(Ema(b1))
    s = Raised(Ema(b2, Surprise("mu"), "nu"), eps_root)
    root = Root(Debiased(s), eps)
    moment = Nesterov(m) if nesterov else m
    return Precondition(moment, by=Rectified(root) if rectify else root)


@alias
def adabelief(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-16,
    eps_root: Hyper = 1e-16,
    *,
    nesterov: bool = False,
    rectify: bool = False,
) -> Chain:
    """AdaBelief: long steps where the gradient is what was expected.

        m ← β₁ m + (1 - β₁) g                    m̂ = m / (1 - β₁ᵗ)
        s ← β₂ s + (1 - β₂) (g - m)² + ε_root    ŝ = s / (1 - β₂ᵗ)
        θ ← θ - α m̂ / (sqrt(ŝ) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m, the expectation.
        b2: β₂ in [0, 1), the decay of s, the mean of the squared surprise.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_root: ε_root ≥ 0 in units of the squared gradient; it adds up over the
            steps to ε_root / (1 - β₂).
        nesterov: look ahead as `nadam`.
        rectify: wait for the variance as `radam`; with `eps=HatEps(1e-16)` it is the
            default of the authors' code.

    State: `mu` (m), `nu` (s), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: one ε is two, as in Optax.

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


@alias
def scale_by_yogi(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-3,
    *,
    initial_accumulator: Hyper = 1e-6,
    bias_correction: bool = True,
) -> Rule:
    """Yogi's direction: `yogi` without rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1); 1 - β₂ is the share of g² that v moves by.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        initial_accumulator: v before the first step, at least 0.
        bias_correction: divide by 1 - β₁ᵗ and 1 - β₂ᵗ; the paper does not.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """
    m, v = Ema(b1), Additive(square, "nu", initial_accumulator, decay=b2)
    if bias_correction:
        return Precondition(Debiased(m), by=Root(Debiased(v), eps))
    return Precondition(m, by=Root(v, eps))


@alias
def yogi(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-3,
    *,
    initial_accumulator: Hyper = 1e-6,
    bias_correction: bool = True,
) -> Chain:
    """Yogi: Adam whose rates cannot grow fast.

        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← v - (1 - β₂) sign(v - g²) g²        v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α m̂ / (sqrt(v̂) + ε)

    Args:
        learning_rate: α ≥ 0, in units of the parameter; the paper suggests 0.01.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1); 1 - β₂ is the share of g² that v moves by.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; the paper has 1e-3 and
            `HatEps(1e-3)` is TensorFlow's.
        initial_accumulator: v before the first step, at least 0; a number or an array.
        bias_correction: divide by 1 - β₁ᵗ and 1 - β₂ᵗ; the paper does not.

    State: `mu` (m) from zero, `nu` (v) from `initial_accumulator`; 8 bytes per
    parameter, and the count.

    Departs from the paper: both corrections and the start, which are Optax's and
    TensorFlow's; `bias_correction=False, initial_accumulator=0` is the paper's. From
    Optax: m starts at zero, where Optax starts it at 1e-6 too, so that there a zero
    gradient moves the parameters.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """
    direction = scale_by_yogi(
        b1,
        b2,
        eps,
        initial_accumulator=initial_accumulator,
        bias_correction=bias_correction,
    )
    return chain(direction, LearningRate(learning_rate))


@alias
def scale_by_msvag(beta: Hyper = 0.9) -> Rule:
    """M-SVAG's direction: `msvag` without rate and sign.

    Args:
        beta: β in [0, 1), the decay of both averages.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Balles & Hennig, "Dissecting Adam: the sign, magnitude and variance of
    stochastic gradients", ICML 2018, the M-SVAG algorithm, arXiv:1705.07774.
    """
    return VarianceAdapted(beta)


@alias
def msvag(learning_rate: Hyper, beta: Hyper = 0.9) -> Chain:
    """M-SVAG: momentum whose steps are short where the gradient is noise.

        m, v: corrected averages of g and g² with one decay β, of weights w_i
        ρ = Σ w_i²,    s = (v - m²) / (1 - ρ)
        θ ← θ - α m · m² / (m² + ρ s)

    Args:
        learning_rate: α ≥ 0, in units of parameter per gradient: there is no division,
            so it is of the size of that of SGD.
        beta: β in [0, 1), the decay of both averages.

    State: `mu`, `nu`, both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: nothing. One gradient has no variance: the first step is
    α g, as in the authors' code. Rounding may take v - m² below zero; it is held at 0.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Balles & Hennig, "Dissecting Adam: the sign, magnitude and variance of
    stochastic gradients", ICML 2018, the M-SVAG algorithm, arXiv:1705.07774.
    """
    return chain(scale_by_msvag(beta), LearningRate(learning_rate))
