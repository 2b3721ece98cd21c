"""Adam held back where a whole tensor says so: StableAdamW, AdamP."""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..layer_rules import Projected, Stabilized
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.nesterov import LookAhead


def _stable(
    b1: Hyper, b2: Hyper, eps: Hyper | Eps, decay: Hyper, mask: Any, axis_name: Any
) -> Rule:
    root = Root(Debiased(Ema(b2, square, "nu")), eps)
    return Stabilized(Debiased(Ema(b1)), root, decay, mask, axis_name=axis_name)


@alias
def scale_by_stable_adamw(
    b1: Hyper = 0.9,
    b2: Hyper = 0.99,
    eps: Hyper | Eps = 1e-6,
    *,
    axis_name: Any = None,
) -> Rule:
    """StableAdamW's direction without decay: `stable_adamw` without rate and sign.

    Args: as in `stable_adamw`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """
    return _stable(b1, b2, eps, 0.0, None, axis_name)


@alias
def stable_adamw(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.99,
    eps: Hyper | Eps = 1e-6,
    *,
    weight_decay: Hyper = 0.2,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """StableAdamW: AdamW that shortens its step where the second moment lags behind.

        ρ = RMS(g / max(sqrt(v̂), ε))       (m̂ and v̂ as in `adam`)
        η = α / max(1, ρ)                    (one for each tensor)
        θ ← θ - η (m̂ / (sqrt(v̂) + ε) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind, whose `eps` bounds ρ.
        weight_decay: λ ≥ 0; 0.2 is that of the paper's experiments.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: nothing; its corrected decays β̂ are Adam's correction.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """
    direction = _stable(b1, b2, eps, weight_decay, mask, axis_name)
    return chain(direction, LearningRate(learning_rate))


def _projected(
    b1: Hyper,
    b2: Hyper,
    eps: Hyper | Eps,
    decay: Hyper,
    mask: Any,
    delta: Hyper,
    wd_ratio: Hyper,
    nesterov: bool,
    eps_norm: Hyper,
    channel_axis: int,
    axis_name: Any,
) -> Rule:
    moment = LookAhead(Ema(b1)) if nesterov else Ema(b1)
    root = Root(Debiased(Ema(b2, square, "nu")), eps)
    return Projected(
        Precondition(Debiased(moment), by=root),
        decay,
        mask,
        delta,
        wd_ratio,
        eps_norm,
        channel_axis=channel_axis,
        axis_name=axis_name,
    )


@alias
def scale_by_adamp(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    delta: Hyper = 0.1,
    wd_ratio: Hyper = 0.1,
    nesterov: bool = False,
    eps_norm: Hyper = 0.0,
    channel_axis: int = 0,
    axis_name: Any = None,
) -> Rule:
    """AdamP's direction without decay: `adamp` without rate and sign.

    Args: as in `adamp`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """
    return _projected(
        b1,
        b2,
        eps,
        0.0,
        None,
        delta,
        wd_ratio,
        nesterov,
        eps_norm,
        channel_axis,
        axis_name,
    )


@alias
def adamp(
    learning_rate: Hyper = 1e-3,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    delta: Hyper = 0.1,
    wd_ratio: Hyper = 0.1,
    nesterov: bool = False,
    eps_norm: Hyper = 0.0,
    channel_axis: int = 0,
    axis_name: Any = None,
) -> Chain:
    """AdamP: Adam without the part of a step that lengthens scale-invariant weights.

        p = m̂ / (sqrt(v̂) + ε)              (m̂ and v̂ as in `adam`)
        |cos(θ, g)| < δ / sqrt(dim θ):  θ ← θ - α (Π_θ(p) + λ r θ)
        otherwise:                      θ ← θ - α (p + λ θ)

    with Π_θ(p) = p - (θ̂·p) θ̂. The test and the projection are per channel, if all
    channels pass it, else for the whole tensor; tensors of one axis are left alone.

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        delta: δ in [0, 1], the threshold of the test.
        wd_ratio: r in [0, 1], the share of the decay that is left where it passes.
        nesterov: look ahead, β₁ m + (1 - β₁) g.
        eps_norm: added to ‖θ‖ in θ̂; the authors' code has ε there.
        channel_axis: the axis of the channels: 0, as in the authors' code, or -1 for
            kernels stored as (in, out).
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split
            along `channel_axis`.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: Adam's bias correction and the decay, which are those of the
    authors' code; the algorithm has neither, and one test for each tensor.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """
    direction = _projected(
        b1,
        b2,
        eps,
        weight_decay,
        mask,
        delta,
        wd_ratio,
        nesterov,
        eps_norm,
        channel_axis,
        axis_name,
    )
    return chain(direction, LearningRate(learning_rate))
