"""KL-SOAP: SOAP with statistics of which each side is whitened by the other.

Inside `shard_map` pass `axis_name`, the mesh axis over which the first axis of the
leaves is split; the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.chain import Chain
from ..engine.hyperparams import ScalarOrSchedule, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot
from ..numerics.arithmetic import lerp
from ..numerics.matrices import HIGHEST, product
from ..parts.denominators import Eps
from ..parts.two_sided import along, unfolded
from ..parts.weight_decay import Decay
from .soap import SameAsB2, SoapDirection, _with_decay


@checked_keywords
def scale_by_kl_soap(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.98,
    shampoo_beta: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    precondition_frequency: int = 10,
    init_factor: float = 0.1,
    max_clamp_value: float = 4000,
    max_dim: int = 10_000,
    bias_correction: bool = True,
    block_size: int | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as KL-SOAP does: `kl_soap` without decay, learning rate and sign.

    Args: as in `kl_soap`.

    State: `mu`, `nu`, `left`, `right`, `left_basis`, `right_basis`, `left_values`,
    `right_values`.

    Reference: Lin et al., "Understanding and improving Shampoo and SOAP via
    Kullback-Leibler minimization", ICLR 2026, arXiv:2509.03378.
    """
    return KlSoapDirection(
        b1=b1,
        b2=b2,
        shampoo_beta=SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps=eps,
        precondition_frequency=precondition_frequency,
        init_factor=init_factor,
        max_clamp_value=max_clamp_value,
        max_dim=max_dim,
        bias_correction=bias_correction,
        block_size=block_size,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def kl_soap(
    learning_rate: ScalarOrSchedule = 1e-4,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.98,
    shampoo_beta: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.01,
    mask: Any = None,
    precondition_frequency: int = 10,
    init_factor: float = 0.1,
    max_clamp_value: float = 4000,
    max_dim: int = 10_000,
    bias_correction: bool = True,
    block_size: int | None = None,
    merge_dims: bool | None = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """KL-SOAP: run Adam in the eigenbasis of factors fitted by KL divergence.

        G' = Q_Lᵀ G Q_R
        M ← β₁ M + (1 - β₁) G,    V ← β₂ V + (1 - β₂) G'²
        θ ← θ - α (Q_L (Q_Lᵀ M̂ Q_R / (sqrt(V̂) + ε)) Q_Rᵀ + λ θ)
        L ← β L + (1 - β) G Q_R Λ_R⁻¹ Q_Rᵀ Gᵀ / n        (G of m rows, n columns)
        R ← β R + (1 - β) Gᵀ Q_L Λ_L⁻¹ Q_Lᵀ G / m
        Λ_L ← β Λ_L + (1 - β) diag(G' Λ_R⁻¹ G'ᵀ) / n
        Λ_R ← β Λ_R + (1 - β) diag(G'ᵀ Λ_L⁻¹ G') / m
        every f steps:  Q_L ← QR(L Q_L),  Q_R ← QR(R Q_R)

    SOAP (see `soap`) averages G Gᵀ and Gᵀ G. Here each side is whitened by the other,
    so that L ⊗ R is the Gaussian covariance nearest to that of the gradient. All right
    sides are of the step before.

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        shampoo_beta: β in [0, 1); None for β₂.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, as in `soap`.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precondition_frequency: f.
        init_factor: the first Λ_L and Λ_R.
        max_clamp_value: c ≥ 1; Λ^(-1/2) of a side of n is at most max(10, min(n, c)).
        max_dim: a side longer than this has no basis, but has a diagonal Λ.
        bias_correction: of M and V, as in Adam; False is the authors' code.
        block_size: b, cut a matrix into blocks of b × b, each with its own factors, as
            in `soap`; m and n are then those of the block. A side above 256
            takes minutes to compile for a TPU, see there.
        merge_dims: None for the matrix of the last axis of a leaf against the others,
            False for a factor for each axis: G is then whitened along all other axes,
            and n is the number of its fibres. At most 6 axes.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded. Eigenvectors and QR are computed in float32
            (float64 for float64 leaves) whatever it is.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: that of `soap`: `mu` (M), `nu` (V), 8 bytes per parameter; `left` (L),
    `right` (R), `left_basis`, `right_basis`, 8 (m² + n²) bytes for an (m, n) matrix;
    and `left_values` (Λ_L), `right_values` (Λ_R), 4 (m + n) bytes. All from 0; the
    first gradient sets L, R, Λ and, by a full eigendecomposition, the bases; the first
    step is 0.

    Departs from the paper: the first step, the first Λ, its bound and the defaults are
    those of the authors' code. That code has no bias correction, which makes its first
    steps shorter, decays after the step, and computes in bfloat16 but for the
    decompositions; here M̂, V̂ and λ are as in `soap`, and `bias_correction=False,
    weight_decay=0.0` is that code without decay. For leaves of three axes, of which it
    allows no more, the code has a factor for each, as `merge_dims=False`, but takes
    some of the Λ of this step instead of those before it.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Lin et al., "Understanding and improving Shampoo and SOAP via
    Kullback-Leibler minimization", ICLR 2026, arXiv:2509.03378.
    """
    direction = functools.partial(
        KlSoapDirection,
        b1=b1,
        b2=b2,
        shampoo_beta=SameAsB2() if shampoo_beta is None else shampoo_beta,
        eps=eps,
        precondition_frequency=precondition_frequency,
        init_factor=init_factor,
        max_clamp_value=max_clamp_value,
        max_dim=max_dim,
        bias_correction=bias_correction,
        block_size=block_size,
        merge_dims=merge_dims,
        precision=precision,
        axis_name=axis_name,
    )
    return _with_decay(direction, learning_rate, weight_decay, mask)


class KlSoapDirection(SoapDirection):
    """Run Adam in the eigenbasis of factors that minimise a KL divergence (KL-SOAP).

    Args: as in `SoapDirection`, and
        init_factor: the first eigenvalues Λ, at least 1e-9.
        max_clamp_value: c ≥ 1; Λ^(-1/2) of a side of n is at most max(10, min(n, c)).

    Reference: Lin et al., "Understanding and improving Shampoo and SOAP via
    Kullback-Leibler minimization", ICLR 2026, arXiv:2509.03378.
    """

    plan_names = ("KL-SOAP", "Adam")

    init_factor: float = option(0.1, least=1e-9, advice="It is divided by.")
    max_clamp_value: float = option(4000, least=1, advice="It is at least 10 anyway.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge_dims:
            raise errors.AdamxError(
                "kl_soap: `merge_dims` must be None or False, got True. Its factors "
                "are of the axes of a leaf: pass False for one for each, or reshape "
                "the leaf."
            )

    def slots(self) -> dict[str, Slot]:
        because = "Its inverse is taken."
        values = {
            f"{name}_values": Slot(
                shape_of=self._values(side),
                whole=True,
                signed=False,
                single_array_because=because,
            )
            for side, name in enumerate(self._names())
        }
        return super().slots() | values

    def _values(self, side: int) -> Any:
        """Return the shape of the eigenvalues of one side."""

        def like(p: Any) -> Any:
            if not any(self._has_sides(p.shape)):
                return jnp.zeros((0,), p.dtype)
            sides = slice(side, side + 1)
            return self._each_block(lambda block: block[sides] or (0,))(p)

        return like

    def _roots(
        self, g: Any, bases: list, kept: dict, lengths: tuple, ctx: Context
    ) -> tuple:
        first, names = ctx.count == 1, self._names(g.ndim)
        values = [jnp.where(first, 1, kept[f"{name}_values"]) for name in names]
        roots = []
        for axis in range(g.ndim):
            x, others = g, [i for i in range(g.ndim) if i != axis]
            for i in others:
                q = bases[i]
                x = along(x, i, q, self.precision) if q.ndim == 2 else x
                row = [-1 if j == i else 1 for j in range(g.ndim)]
                x = x / jnp.sqrt(values[i]).reshape(row)
            n = math.prod(lengths[i] for i in others)
            roots.append(unfolded(jnp.where(first, g, x), axis) / n**0.5)
        return tuple(roots)

    def _step(
        self, x: dict, kept: dict, lengths: tuple, ctx: Context
    ) -> tuple[dict, dict]:
        done, new = super()._step(x, kept, lengths, ctx)
        if not lengths:
            return done, new
        names = self._names(x["update"].ndim)
        bases = [kept[f"{name}_basis"] for name in names]
        roots = self._roots(x["update"], bases, kept, lengths, ctx)
        beta = self._shampoo_beta()
        for name, root, q, n in zip(names, roots, bases, lengths, strict=True):
            now = jnp.sum(self._onto(root.T, q) ** 2, 0)
            values = lerp(kept[f"{name}_values"], now, beta)
            values = jnp.maximum(values, self._least(n))
            new[f"{name}_values"] = jnp.where(ctx.count == 1, self.init_factor, values)
        return done, new

    def _least(self, n: Any) -> Any:
        """Return the bound of the eigenvalues of a side of n, a number or an array."""
        if isinstance(n, int):
            return max(10, min(n, self.max_clamp_value)) ** -2.0
        return jnp.clip(n, 10, max(10, self.max_clamp_value)) ** -2.0

    def _onto(self, x: Array, basis: Array) -> Array:
        """Compute X Q; X where the side has no basis."""
        return product(x, basis, self.precision) if basis.ndim == 2 else x
