"""APOLLO and APOLLO-Mini: gradients scaled by Adam in a random subspace.

Leaves that are no matrices, or not larger than the rank, are updated by Adam. Inside
`shard_map` pass `axis_name`, the mesh axis over which the rows of the leaves are split;
the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

import zlib
from typing import Any

import jax
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.matrices import HIGHEST
from ..parts.denominators import Eps, before_correction
from ..parts.matrix_views import Side
from ..parts.weight_decay import Decay, as_decay, with_rate
from .adam import scale_by_adam
from .fira import _columns, _Limited
from .galore import _Low, _nothing

MINI = 128**0.5


@checked_keywords
def scale_by_apollo(
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    by_tensor: bool = False,
    seed: int = 0,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as APOLLO does: `apollo` without decay, learning rate and sign.

    Args: as in `apollo`.

    State: `mu`, `nu`, `length`.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """
    return ApolloScaling(
        scale_by_adam(b1, b2, before_correction(eps) if released else eps),
        rank,
        update_proj_gap,
        scale,
        eps_norm=eps_norm,
        growth=growth,
        released=released,
        by_tensor=by_tensor,
        seed=seed,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def apollo(
    learning_rate: ScalarOrSchedule,
    rank: int = 256,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    by_tensor: bool = False,
    seed: int = 0,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """APOLLO: scale each column of the gradient by Adam's factor in a random subspace.

        R = Pᵀ G,  P ~ N(0, 1/r), drawn anew every T steps
        N = M̂ / (sqrt(V̂) + ε)  of R, as in `adam`
        S = G diag(‖N_i‖ / (‖R_i‖ + ε')),  i the columns, limited as in `fira`
        θ ← θ - α (s S + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are updated by Adam.
        update_proj_gap: T.
        scale: s ≥ 0; the authors' code multiplies by the root of its own `scale`.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_norm: ε' ≥ 0, added to the lengths, as in the authors' code.
        growth: γ ≥ 1 of the limiter, or None for none. After a step with zero gradient,
            S grows from γ ε' by a factor γ at each step.
        released: the authors' code where it differs from the algorithm: the limiter
            acts on S before N's bias correction, which follows it, and a number `eps`
            is added before the correction (`EpsBeforeCorrection`).
        by_tensor: one factor for the tensor, as APOLLO-Mini, with rank=1 and
            scale=sqrt(128): `apollo_mini`.
        seed: of the projections, which are functions of seed, path and draw.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `mu` (M), `nu` (V), from 0, r n numbers each of an (m, n) matrix, m ≤ n, and
    `length` (‖S‖), one; 8 bytes per parameter for the leaves that are not projected.

    Departs from the paper: ε', and the limiter, which are in its text and code but not
    in the algorithm. The authors' code is `chain(scale_by_apollo(released=True),
    LearningRate(α), WeightDecayAfterStep(λ, learning_rate=α))`, but for its draws of P
    and a square matrix, which it projects from the other side. The two forms differ
    in the first steps, by the growth of the correction, which the limiter sees here.

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
        released=released,
        by_tensor=by_tensor,
        seed=seed,
        precision=precision,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))


@checked_keywords
def scale_by_apollo_mini(
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = MINI,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    seed: int = 0,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as APOLLO-Mini does: `apollo_mini` without decay, rate and sign.

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
        released=released,
        by_tensor=True,
        seed=seed,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def apollo_mini(
    learning_rate: ScalarOrSchedule,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = MINI,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    seed: int = 0,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """APOLLO-Mini: scale each gradient by one factor, from `apollo` of rank 1.

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
        released: see `apollo`.
        seed: of the projections.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay, as in `apollo`.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
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
        released=released,
        seed=seed,
        precision=precision,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))


def random_projection(
    seed: int, path: str, draw: Any, shape: tuple[int, int], dtype: Any
) -> Array:
    """Draw P of `shape` (m, r) from N(0, 1/r), by seed, path and draw alone."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(path.encode()))
    normal = jax.random.normal(jax.random.fold_in(key, draw), shape, dtype)
    return normal / shape[1] ** 0.5


class ApolloScaling(_Low, _Limited):
    """Scale each column of the gradient as `part` does in a random subspace (APOLLO).

        R = Pᵀ G, P ~ N(0, 1/r);    N = part(R)
        u = α G diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns, or one factor for the tensor

    and Fira's limiter. P is drawn anew every `update_proj_gap` steps, from the seed,
    the leaf's path and the number of the draw: it is not part of the state.

    Args:
        part: a rule, such as Adam's direction.
        rank: r; update_proj_gap: T; scale: α ≥ 0.
        eps_norm: ε ≥ 0, added to ‖R_i‖ and to the previous length.
        growth: γ ≥ 1 of the limiter, or None for none.
        by_tensor: one factor for the tensor (APOLLO-Mini).
        released: the form of the authors' code, see `apollo`.
        seed: of the projections.
        precision: that of the product.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """

    plan_name = "APOLLO"

    eps_norm: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    growth: float | None = option(1.01, least=1, kw_only=False)
    released: bool = option(False)
    by_tensor: bool = option(False)
    seed: int = option(0, least=0)

    def _projected(self, axes: tuple[int, ...], size: int) -> Side:
        return Side(axes, size, why="its projection is drawn anew")

    def needs(self) -> frozenset[str]:
        return super().needs() | {"path"}

    def slots(self) -> dict[str, Slot]:
        one = self._like(lambda m, n: (), _nothing)
        length = Slot(shape_of=one, whole=True, signed=False)
        return {**super().slots(), "length": length}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        size = self._size(update.shape)
        if size is None:
            return self.part.apply(update, slots, ctx)
        g, slots = self._wide(update), self._whole(slots)
        draw = (ctx.count - 1) // self.update_proj_gap
        shape = (size[0], self.rank)
        p = random_projection(self.seed, ctx.path or "", draw, shape, g.dtype)
        r = self._product(p.T, g)
        n, slots = self.part.apply(r, slots, ctx)
        c = self._correction(ctx)
        s = g * _columns(n / c, r, self.eps_norm, self.by_tensor)
        s, length = self._limit(s, slots["length"], ctx)
        return self._back(self.scale * c * s, update), slots | {"length": length}
