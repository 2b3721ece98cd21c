"""Adam in a subspace of the gradient: GaLore, Fira, APOLLO.

Leaves that are no matrices, or not larger than the rank, are plain Adam's. Inside
`shard_map` pass `axis_name`, the mesh axis over which the rows of the leaves are split;
the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, HatEps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.weight_decay import WeightDecay
from ..subspaces import InSubspace, WithResidual


def _adam(b1: Hyper, b2: Hyper, eps: Hyper | Eps) -> Rule:
    second = Debiased(Ema(b2, square, "nu"))
    return Precondition(Debiased(Ema(b1)), by=Root(second, eps))


@alias
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    axis_name: Any = None,
) -> Rule:
    """GaLore's direction: `galore` without rate, sign and decay.

    Args: as in `galore`.

    State: `mu`, `nu`, `projection`.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """
    adam = _adam(b1, b2, eps)
    return InSubspace(adam, rank, update_proj_gap, scale, axis_name=axis_name)


@alias
def galore(
    learning_rate: Hyper,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """GaLore: Adam of the gradient's projection on its leading singular vectors.

        every T steps:  P = U[:, :r] of G = U S Vᵀ
        R = Pᵀ G,    N = M̂ / (sqrt(V̂) + ε)  of R, as in `adam`
        θ ← θ - α (s P N + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are plain Adam's.
        update_proj_gap: T.
        scale: s ≥ 0; the paper has 0.25.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `HatEps(1e-6)` is the
            authors' code.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `mu` (M), `nu` (V), from 0, r n numbers each of an (m, n) matrix, m ≤ n;
    `projection` (P), m r numbers; 8 bytes per parameter for the leaves that are not
    projected.

    Departs from the paper: the default scale, Optax's; a sign convention for singular
    vectors; decay, which it has not. `optax.contrib.galore` projects from the longer
    side.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """
    direction = scale_by_galore(
        rank, update_proj_gap, scale, b1=b1, b2=b2, eps=eps, axis_name=axis_name
    )
    decay = WeightDecay(weight_decay, mask)
    return chain(direction, decay, LearningRate(learning_rate))


@alias
def scale_by_fira(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    growth: float | None = 1.01,
    axis_name: Any = None,
) -> Rule:
    """Fira's direction: `fira` without rate, sign and decay.

    Args: as in `fira`.

    State: `mu`, `nu`, `projection`, `length`.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """
    return WithResidual(
        _adam(b1, b2, HatEps(eps)),
        rank,
        update_proj_gap,
        scale,
        eps_norm=eps,
        growth=growth,
        axis_name=axis_name,
    )


@alias
def fira(
    learning_rate: Hyper,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    growth: float | None = 1.01,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """Fira: GaLore, and the rest of the gradient scaled as Adam scales the subspace.

        R = Pᵀ G,  N = M̂ / (sqrt(V̂) + ε̂)  of R     (P as in `galore`)
        S = (G - P R) diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns
        S ← S γ / max(‖S‖ / (‖S of the last step‖ + ε), γ)
        θ ← θ - α (s (P N + S) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are plain Adam's.
        update_proj_gap: T, the steps between two projections.
        scale: s ≥ 0.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0, before the correction (`HatEps`) and added to the lengths.
        growth: γ ≥ 1 of the limiter, or None for none. After a step of zero gradient S
            grows again from γ ε by a factor γ a step.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: those of `galore`, and `length` (‖S‖, which the first step sets), one number
    for a matrix.

    Departs from the paper: a sign convention for singular vectors; decay.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """
    direction = scale_by_fira(
        rank,
        update_proj_gap,
        scale,
        b1=b1,
        b2=b2,
        eps=eps,
        growth=growth,
        axis_name=axis_name,
    )
    decay = WeightDecay(weight_decay, mask)
    return chain(direction, decay, LearningRate(learning_rate))
