"""Fira: GaLore that also steps along the rest of the gradient, outside the subspace."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import safe_sqrt
from ..numerics.matrices import HIGHEST
from ..numerics.norms import norm
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, before_correction
from ..parts.weight_decay import Decay, as_decay, with_rate
from .adam import scale_by_adam
from .galore import GaloreProjection, _nothing


class _Limited(Rule):
    """Limit the growth of a step's norm to a factor γ (Fira's norm-growth limiter).

    With `released` the limiter acts before the bias correction of `part`, which must be
    Adam's direction.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        part: Any = self.part  # pyright: ignore[reportAttributeAccessIssue]
        root = getattr(part, "by", None)
        moments = (getattr(part, "moment", None), getattr(root, "moment", None))
        released = self.released  # pyright: ignore[reportAttributeAccessIssue]
        if released and not all(isinstance(m, Debiased) for m in moments):
            raise errors.AdamxError(
                f"{type(self).__name__}: `part` must be Adam's direction where "
                f"released=True, got {part!r}. Its two corrections are left out of "
                f"what the limiter sees; pass scale_by_adam(...)."
            )

    def _correction(self, ctx: Context) -> Any:
        """Return Adam's correction sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ), 1 if not `released`."""
        if not self.released:  # pyright: ignore[reportAttributeAccessIssue]
            return 1
        part: Any = self.part  # pyright: ignore[reportAttributeAccessIssue]
        m, v = (f"{each.moment.name}_correction" for each in (part, part.by))
        return ctx.shared[m] / ctx.shared[v] ** 0.5

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
        released: the form of the authors' code, see `fira`.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """

    plan_name = "Fira"

    eps_norm: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    growth: float | None = option(1.01, least=1, kw_only=False)
    released: bool = option(False)

    def slots(self) -> dict[str, Slot]:
        one = self._like(lambda m, n: (), _nothing)
        length = Slot(shape_of=one, whole=True, signed=False)
        return {**super().slots(), "length": length}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if self._size(update.shape) is None:
            return self.part.apply(update, slots, ctx)
        g, slots = self._wide(update), self._whole(slots)
        p = self._projection(g, slots, ctx)
        r = self._product(p.T, g)
        n, slots = self.part.apply(r, slots, ctx)
        c = self._correction(ctx)
        inside = self.scale if self.released else 1
        rest = g - inside * self._product(p, r)
        s = rest * _columns(n / c, r, self.eps_norm, False)
        s, length = self._limit(s, slots["length"], ctx)
        u = self.scale * self._product(p, n) + (c if self.released else self.scale) * s
        return self._back(u, update), slots | {"projection": p, "length": length}


@checked_keywords
def scale_by_fira(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as Fira does: `fira` without decay, learning rate and sign.

    Args: as in `fira`.

    State: `mu`, `nu`, `projection`, `length`.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """
    return FiraResidual(
        scale_by_adam(b1, b2, before_correction(eps)),
        rank,
        update_proj_gap,
        scale,
        eps_norm=eps_norm,
        growth=growth,
        released=released,
        precision=precision,
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
    eps: ScalarOrSchedule | Eps = 1e-6,
    eps_norm: ScalarOrSchedule = 1e-8,
    growth: float | None = 1.01,
    released: bool = False,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """Fira: GaLore that also steps along the rest of the gradient, scaled column-wise.

        R = Pᵀ G,  N = M̂ / (sqrt(V̂) + ε̂)  of R     (P as in `galore`)
        S = (G - P R) diag(‖N_i‖ / (‖R_i‖ + ε')),  i the columns
        S ← S γ / max(‖S‖ / (‖S of the last step‖ + ε'), γ)
        θ ← θ - α (s (P N + S) + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are updated by Adam.
        update_proj_gap: T, the steps between two projections.
        scale: s ≥ 0; the authors' examples have 0.25, with `released`.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, before the bias correction
            (`EpsBeforeCorrection`), or an eps kind.
        eps_norm: ε' ≥ 0, added to the lengths.
        growth: γ ≥ 1 of the limiter, or None for none. After a step with zero gradient,
            S grows from γ ε' by a factor γ at each step.
        released: the authors' code where it differs from their algorithm: the limiter
            acts on S before N's bias correction, which follows it; and s multiplies
            P N alone, S being made of G - s P R.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: that of `galore`, and `length` (‖S‖, which the first step sets), one number
    for a matrix.

    Departs from the paper: a sign convention for singular vectors; decay; ε' apart from
    ε. The authors' code is `chain(scale_by_fira(released=True), LearningRate(α),
    WeightDecayAfterStep(λ, learning_rate=α))`, but for a square matrix, which it
    projects from the other side. With s = 1 the two forms differ by tens of percent in
    the first steps, in which the correction changes, and little later; with another s
    they differ throughout, as the code does not scale S.

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
        eps_norm=eps_norm,
        growth=growth,
        released=released,
        precision=precision,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
