"""Members that find their learning rate: Prodigy, D-Adaptation, DoG, DoWG."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper, is_zero
from ..engine.keywords import alias
from ..parts.learning_rate import Descent, LearningRate
from ..parts.weight_decay import WeightDecay
from ..rate_free import (
    DAdaptAdam,
    DistanceOverGradients,
    DistanceOverWeightedGradients,
    Prodigy,
)


@alias
def prodigy(
    learning_rate: Hyper = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    beta3: Any = None,
    eps: Hyper = 1e-8,
    estim_lr0: Hyper = 1e-6,
    estim_lr_coef: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
    safeguard_warmup: bool = False,
    *,
    bias_correction: bool = True,
    axis_name: Any = None,
) -> Chain:
    """Prodigy: Adam whose rate is an estimate of the distance to the solution.

        m ← β₁ m + (1 - β₁) d g,    v ← β₂ v + (1 - β₂) d² g²
        r ← β₃ r + d (d η) ⟨g, θ_0 - θ⟩,    s ← β₃ s + d (d η) g
        d' = max(d, c r / ‖s‖₁)
        θ ← θ - d η m / (sqrt(v) + d' ε)

    with η the rate times sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: a factor of the rate found: 1, or a schedule from 1 down.
        betas: (β₁, β₂), each in [0, 1).
        beta3: β₃ in [0, 1), of r and s; None for sqrt(β₂).
        eps: ε ≥ 0.
        estim_lr0: d before the first step, above 0.
        estim_lr_coef: c, above 0.
        weight_decay: λ ≥ 0, decoupled: θ ← (1 - λ d η) θ before the step.
        safeguard_warmup: leave η out of s.
        bias_correction: whether η carries Adam's correction, as Optax has it.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu` (m), `nu` (v), `s`, from 0, `start` (θ_0); 16 bytes per parameter, and
    four scalars: `d` from `estim_lr0`, `r` and two weights from 0.

    Departs from the paper: the form is the authors' code, with d' in the ε, c, the
    decay and, as Optax, the correction on by default. That code skips the steps before
    the first gradient that is not zero, uncounted; here they count.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Mishchenko & Defazio, "Prodigy: an expeditiously adaptive
    parameter-free learner", ICML 2024, Algorithm 4, arXiv:2306.06101.
    """
    b1, b2 = betas
    direction = Prodigy(
        learning_rate,
        b1,
        b2,
        beta3,
        eps,
        estim_lr0,
        estim_lr_coef,
        weight_decay,
        safeguard_warmup=safeguard_warmup,
        bias_correction=bias_correction,
        axis_name=axis_name,
    )
    return chain(direction, Descent())


@alias
def dadapt_adamw(
    learning_rate: Hyper = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    estim_lr0: Hyper = 1e-6,
    weight_decay: Hyper = 0.0,
    *,
    bias_correction: bool = True,
    axis_name: Any = None,
) -> Chain:
    """D-Adapted AdamW: Adam whose rate is a lower bound of the distance to go.

        r ← β r + (1 - β) d η ⟨g, s / (sqrt(v) + ε)⟩         β = sqrt(β₂), v before
        m ← β₁ m + (1 - β₁) d η g,    v ← β₂ v + (1 - β₂) g²
        s ← β s + (1 - β) d η g,      d' = max(d, r / ((1 - β) ‖s‖₁))
        θ ← θ - d η λ θ - m / (sqrt(v) + ε)

    with η the rate times sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: a factor of the rate found: 1, or a schedule from 1 down.
        betas: (β₁, β₂), each in [0, 1).
        eps: ε ≥ 0.
        estim_lr0: d before the first step, above 0.
        weight_decay: λ ≥ 0, decoupled.
        bias_correction: whether η carries Adam's correction, as Optax has it.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu` (m), `nu` (v), `s`, from 0; 12 bytes per parameter, and four scalars:
    `d` from `estim_lr0`, `r` and two weights from 0.

    Departs from the paper: its listing weighs ⟨g, s⟩ by the root that already holds g;
    this is the authors' code, with the correction on by default, as Optax. That code
    skips the steps before the first gradient that is not zero, uncounted; here they
    count.

    Raises:
        ValueError: an argument out of its range.

    Reference: Defazio & Mishchenko, "Learning-rate-free learning by D-Adaptation",
    ICML 2023, arXiv:2301.07733.
    """
    b1, b2 = betas
    direction = DAdaptAdam(
        learning_rate,
        b1,
        b2,
        eps,
        estim_lr0,
        weight_decay,
        bias_correction=bias_correction,
        axis_name=axis_name,
    )
    return chain(direction, Descent())


@alias
def dog(
    learning_rate: Hyper = 1.0,
    init_distance: Hyper = 1e-6,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    *,
    axis_name: Any = None,
) -> Chain:
    """DoG: SGD whose rate is distance over gradients.

        r̄ = max over the steps of ‖θ - θ_0‖,  at least ρ (1 + ‖θ_0‖)
        θ ← θ - c g r̄ / sqrt(ε + Σ ‖g‖²)

    Args:
        learning_rate: c, 1 in the paper.
        init_distance: ρ, in units of 1 + ‖θ_0‖; Optax's `init_step=("heuristic", ρ)`.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, coupled: g + λ θ.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start` (θ_0); 4 bytes per parameter, and two scalars, from 0.

    Departs from the paper: ε and the decay, as the authors' code. The paper evaluates
    an average: `param_ema(dog())`.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Ivgi, Hinder & Carmon, "DoG is SGD's best friend: a parameter-free
    dynamic step size schedule", ICML 2023, arXiv:2302.12022.
    """
    decay = () if is_zero(weight_decay) else (WeightDecay(weight_decay, mask),)
    direction = DistanceOverGradients(init_distance, eps, axis_name=axis_name)
    return chain(*decay, direction, LearningRate(learning_rate))


@alias
def dowg(
    learning_rate: Hyper = 1.0,
    init_estim_sq_dist: Hyper = 1e-4,
    eps: Hyper = 1e-4,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    *,
    axis_name: Any = None,
) -> Chain:
    """DoWG: DoG whose gradients are weighted by the distance too.

        r̄² = max(r̄², ‖θ - θ_0‖²),    s ← s + r̄² ‖g‖²
        θ ← θ - c g r̄² / (sqrt(s) + ε)

    Args:
        learning_rate: c, 1 in the paper.
        init_estim_sq_dist: r̄² before the first step, above 0.
        eps: ε ≥ 0, added to the root.
        weight_decay: λ ≥ 0, coupled: g + λ θ.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start` (θ_0); 4 bytes per parameter, and two scalars, from 0.

    Departs from the paper: ε = 1e-4 and the start 1e-4, as Optax and the authors'
    code; the paper has no ε.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Khaled, Mishchenko & Jin, "DoWG unleashed: an efficient universal
    parameter-free gradient descent method", NeurIPS 2023, Algorithm 1,
    arXiv:2305.16284.
    """
    decay = () if is_zero(weight_decay) else (WeightDecay(weight_decay, mask),)
    direction = DistanceOverWeightedGradients(
        init_estim_sq_dist, eps, axis_name=axis_name
    )
    return chain(*decay, direction, LearningRate(learning_rate))
