"""Preconditioners with matrices: Shampoo, and SOAP, which is Adam in its eigenbasis.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

from typing import Any

from ..eigenbases import AsB2, AveragedInverseRoots, InEigenbasis, InverseRoots
from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Rule
from ..parts.denominators import Eps
from ..parts.learning_rate import LearningRate


@alias
def scale_by_shampoo(
    eps: Hyper = 1e-4,
    *,
    b2: Hyper | None = None,
    exponent: float | None = None,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Rule:
    """Shampoo's direction: `shampoo` without rate and sign.

    Args: as in `shampoo`.

    State: `left`, `right`; 4 (m² + n²) bytes for an (m, n) matrix.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568.
    """
    if b2 is None:
        return InverseRoots(eps, exponent, max_dim=max_dim, axis_name=axis_name)
    return AveragedInverseRoots(
        eps, exponent, b2=b2, max_dim=max_dim, axis_name=axis_name
    )


@alias
def shampoo(
    learning_rate: Hyper,
    eps: Hyper = 1e-4,
    *,
    b2: Hyper | None = None,
    exponent: float | None = None,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Chain:
    """Shampoo: AdaGrad with a full matrix for each side of a matrix.

        L ← L + G Gᵀ,  R ← R + Gᵀ G          (from ε I)
        θ ← θ - α L^(-1/4) G R^(-1/4)         (vectors: H^(-1/2) g, H ← H + g gᵀ)

    Args:
        learning_rate: α ≥ 0.
        eps: ε ≥ 0 in units of the gradient squared.
        b2: β₂ in [0, 1) of averages in place of the sums (Anil et al.); None for sums.
        exponent: in place of -1/4 for matrices and -1/2 for vectors.
        max_dim: a side longer than this has no statistic.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `left` (L), `right` (R), from ε I, which the first step puts there:
    4 (m² + n²) bytes for an (m, n) matrix, 4 n² for a vector.

    Departs from the paper: a tensor of more than two axes is the matrix of its last
    axis against the others (Algorithm 2 has a statistic for each axis); a scalar is a
    vector; the powers are by eigenvalues on every step. No momentum, decay or grafting:
    `chain(scale_by_shampoo(), Ema(0.9), WeightDecay(λ), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Gupta, Koren & Singer, "Shampoo: preconditioned stochastic tensor
    optimization", ICML 2018, Algorithm 1, arXiv:1802.09568; averages: Anil et al.,
    2020, arXiv:2002.09018.
    """
    direction = scale_by_shampoo(
        eps, b2=b2, exponent=exponent, max_dim=max_dim, axis_name=axis_name
    )
    return chain(direction, LearningRate(learning_rate))


@alias
def scale_by_soap(
    b1: Hyper = 0.95,
    b2: Hyper = 0.95,
    shampoo_beta: Hyper | None = None,
    eps: Hyper | Eps = 1e-8,
    *,
    precondition_frequency: int = 10,
    sort: bool = False,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Rule:
    """SOAP's direction: `soap` without rate, sign and decay.

    Args: as in `soap`.

    State: `mu`, `nu`, `left`, `right`, `left_basis`, `right_basis`.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    return InEigenbasis(
        b1,
        b2,
        AsB2() if shampoo_beta is None else shampoo_beta,
        eps,
        precondition_frequency=precondition_frequency,
        sort=sort,
        max_dim=max_dim,
        axis_name=axis_name,
    )


@alias
def soap(
    learning_rate: Hyper = 3e-3,
    b1: Hyper = 0.95,
    b2: Hyper = 0.95,
    shampoo_beta: Hyper | None = None,
    eps: Hyper | Eps = 1e-8,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    precondition_frequency: int = 10,
    sort: bool = False,
    max_dim: int = 10_000,
    axis_name: Any = None,
) -> Chain:
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioners.

        M ← β₁ M + (1 - β₁) G
        V ← β₂ V + (1 - β₂) (Q_Lᵀ G Q_R)²
        θ ← θ - α (Q_L (Q_Lᵀ M̂ Q_R / (sqrt(V̂) + ε)) Q_Rᵀ + λ θ)
        L ← β L + (1 - β) G Gᵀ,  R ← β R + (1 - β) Gᵀ G
        every f steps:  Q_L ← QR(L Q_L),  Q_R ← QR(R Q_R)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        shampoo_beta: β in [0, 1); None for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `HatEps(1e-8)` is the
            authors' code.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precondition_frequency: f.
        sort: sort the columns of Q, and V, by diag(Qᵀ L Q) before QR, as the authors'
            code does.
        max_dim: a side longer than this has no basis.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (M), `nu` (V), 8 bytes per parameter; `left` (L), `right` (R),
    `left_basis`, `right_basis`, 8 (m² + n²) bytes for an (m, n) matrix. All from 0; the
    first gradient gives L, R and by a full eigendecomposition the bases, and moves
    nothing.

    Departs from the paper: the start is that of the authors' code; their decay, of the
    parameters after the step, is not offered. A tensor of more than two axes is the
    matrix of its last axis against the others.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", ICLR
    2025, Algorithms 3 and 4, arXiv:2409.11321.
    """
    direction = InEigenbasis(
        b1,
        b2,
        AsB2() if shampoo_beta is None else shampoo_beta,
        eps,
        weight_decay,
        mask,
        precondition_frequency=precondition_frequency,
        sort=sort,
        max_dim=max_dim,
        axis_name=axis_name,
    )
    return chain(direction, LearningRate(learning_rate))
