"""Fira: GaLore that also steps along the rest of the gradient, outside the subspace."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import safe_sqrt
from ..numerics.norms import norm
from ..parts.denominators import EpsBeforeCorrection
from ..parts.learning_rate import LearningRate
from ..parts.weight_decay import WeightDecay
from .adam import scale_by_adam
from .galore import GaloreProjection, _nothing


class _Limited(Rule):
    """Limit the growth of a step's norm to a factor γ (Fira's norm-growth limiter)."""

    def _limit(self, s: Any, before: Any, ctx: Context) -> tuple[Any, Any]:
        length = norm(s)
        growth = self.growth  # pyright: ignore[reportAttributeAccessIssue]
        if growth is None:
            return s, length
        allowed = before + self.eps_norm  # pyright: ignore[reportAttributeAccessIssue]
        possible = allowed > 0
        ratio = length / jnp.where(possible, allowed, 1)
        limiter = jnp.where(ctx.count == 1, 1, jnp.maximum(ratio, growth) / growth)
        stopped = (ctx.count > 1) & ~possible & (length > 0)
        s = jnp.where(stopped, 0, s / limiter)
        return s, norm(s)


def _columns(n: Any, r: Any, eps: Any, by_tensor: bool) -> Any:
    """Return `‖N‖ / (‖R‖ + ε)` of each column or of the tensor; 0 for division by 0."""
    axis = None if by_tensor else 0
    above, below = (
        safe_sqrt(jnp.sum(x * x, axis, keepdims=axis is not None)) for x in (n, r)
    )
    below = below + eps
    some = below > 0
    return jnp.where(some, above / jnp.where(some, below, 1), 0)


class FiraResidual(GaloreProjection, _Limited):
    """Compute Fira's direction `u = α (P N + S)`, S the scaled rest of the gradient.

        N = part(Pᵀ G),    S = (G - P Pᵀ G) diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns
        S ← S γ / max(‖S‖ / (‖S of the last step‖ + ε), γ)

    Args: as in `GaloreProjection`, and
        eps_norm: ε ≥ 0; growth: γ ≥ 1, or None for no limit.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """

    eps_norm: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    growth: float | None = option(1.01, least=1, kw_only=False)

    def slots(self) -> dict[str, Slot]:
        length = Slot(shape_of=self._like(lambda m, n: (), _nothing), signed=False)
        return {**super().slots(), "length": length}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if self._size(update.shape) is None:
            return self.part.apply(update, slots, ctx)
        g = self._wide(update)
        p = self._projection(g, slots, ctx)
        r = p.T @ g
        n, slots = self.part.apply(r, slots, ctx)
        s = (g - p @ r) * _columns(n, r, self.eps_norm, False)
        s, length = self._limit(s, slots["length"], ctx)
        u = self.scale * (p @ n + s)
        return self._back(u, update), slots | {"projection": p, "length": length}


@checked_keywords
def scale_by_fira(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as Fira does: `fira` without decay, learning rate and sign.

    Args: as in `fira`.

    State: `mu`, `nu`, `projection`, `length`.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """
    return FiraResidual(
        scale_by_adam(b1, b2, EpsBeforeCorrection(eps)),
        rank,
        update_proj_gap,
        scale,
        eps_norm=eps,
        growth=growth,
        axis_name=axis_name,
    )


@checked_keywords
def fira(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: Any = None,
    axis_name: Any = None,
) -> Chain:
    """Fira: GaLore that also steps along the rest of the gradient, scaled column-wise.

        R = Pᵀ G,  N = M̂ / (sqrt(V̂) + ε̂)  of R     (P as in `galore`)
        S = (G - P R) diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns
        S ← S γ / max(‖S‖ / (‖S of the last step‖ + ε), γ)
        θ ← θ - α (s (P N + S) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are updated by Adam.
        update_proj_gap: T, the steps between two projections.
        scale: s ≥ 0.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0, before the bias correction (`EpsBeforeCorrection`) and added to
            the lengths.
        growth: γ ≥ 1 of the limiter, or None for none. After a step with zero gradient,
            S grows from γ ε by a factor γ at each step.
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: that of `galore`, and `length` (‖S‖, which the first step sets), one number
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
