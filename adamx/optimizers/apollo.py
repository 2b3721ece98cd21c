"""Adam in a random subspace tells the scale of each column: APOLLO, APOLLO-Mini.

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
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.weight_decay import WeightDecay
from ..subspaces import ScaledByChannel

MINI = 128**0.5


@alias
def scale_by_apollo(
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    eps_norm: Hyper = 1e-8,
    growth: float | None = 1.01,
    by_tensor: bool = False,
    seed: int = 0,
    axis_name: Any = None,
) -> Rule:
    """APOLLO's direction: `apollo` without rate, sign and decay.

    Args: as in `apollo`.

    State: `mu`, `nu`, `length`.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """
    second = Debiased(Ema(b2, square, "nu"))
    return ScaledByChannel(
        Precondition(Debiased(Ema(b1)), by=Root(second, eps)),
        rank,
        update_proj_gap,
        scale,
        eps_norm=eps_norm,
        growth=growth,
        by_tensor=by_tensor,
        seed=seed,
        axis_name=axis_name,
    )


@alias
def apollo(
    learning_rate: Hyper,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    eps_norm: Hyper = 1e-8,
    growth: float | None = 1.01,
    by_tensor: bool = False,
    seed: int = 0,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """APOLLO: SGD with a rate for each column, which Adam finds in a random subspace.

        R = Pᵀ G,  P ~ N(0, 1/r), drawn anew every T steps
        N = M̂ / (sqrt(V̂) + ε)  of R, as in `adam`
        S = G diag(‖N_i‖ / (‖R_i‖ + ε')),  i the columns, limited as in `fira`
        θ ← θ - α (s S + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are plain Adam's.
        update_proj_gap: T.
        scale: s ≥ 0; the authors' code multiplies by the root of its own `scale`.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_norm: ε' ≥ 0, added to the lengths, as in the authors' code.
        growth: γ ≥ 1 of the limiter, or None for none. After a step of zero gradient S
            grows again from γ ε' by a factor γ a step.
        by_tensor: one factor for the tensor, as APOLLO-Mini, with rank=1 and
            scale=sqrt(128): `apollo_mini`.
        seed: of the projections, which are functions of seed, path and draw.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `mu` (M), `nu` (V), from 0, r n numbers each of an (m, n) matrix, m ≤ n, and
    `length` (‖S‖), one; 8 bytes per parameter for the leaves that are not projected.

    Departs from the paper: ε', and the limiter, which are in its text and code but not
    in the algorithm.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """
    direction = scale_by_apollo(
        rank,
        update_proj_gap,
        scale,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_norm=eps_norm,
        growth=growth,
        by_tensor=by_tensor,
        seed=seed,
        axis_name=axis_name,
    )
    decay = WeightDecay(weight_decay, mask)
    return chain(direction, decay, LearningRate(learning_rate))


@alias
def scale_by_apollo_mini(
    update_proj_gap: int = 200,
    scale: Hyper = MINI,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    eps_norm: Hyper = 1e-8,
    growth: float | None = 1.01,
    seed: int = 0,
    axis_name: Any = None,
) -> Rule:
    """APOLLO-Mini's direction: `apollo_mini` without rate, sign and decay.

    Args: as in `apollo`.

    State: `mu`, `nu`, `length`.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """
    return scale_by_apollo(
        1,
        update_proj_gap,
        scale,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_norm=eps_norm,
        growth=growth,
        by_tensor=True,
        seed=seed,
        axis_name=axis_name,
    )


@alias
def apollo_mini(
    learning_rate: Hyper,
    update_proj_gap: int = 200,
    scale: Hyper = MINI,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    eps_norm: Hyper = 1e-8,
    growth: float | None = 1.01,
    seed: int = 0,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """APOLLO-Mini: `apollo` of rank 1, with one factor for the tensor.

        R = Pᵀ G, one row;  N of R, as in `adam`
        S = ‖N‖ / (‖R‖ + ε') G, limited as in `fira`
        θ ← θ - α (sqrt(128) S + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        update_proj_gap: the steps between two draws of P.
        scale: s ≥ 0, sqrt(128).
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_norm: ε' ≥ 0, added to the lengths.
        growth: γ ≥ 1 of the limiter, or None for none.
        seed: of the projections.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay, as in `apollo`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `mu`, `nu`, from 0, n numbers each of an (m, n) matrix, m ≤ n; `length`, one.

    Departs from the paper: as `apollo`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """
    direction = scale_by_apollo_mini(
        update_proj_gap,
        scale,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_norm=eps_norm,
        growth=growth,
        seed=seed,
        axis_name=axis_name,
    )
    decay = WeightDecay(weight_decay, mask)
    return chain(direction, decay, LearningRate(learning_rate))
