"""GaLore: Adam in the subspace of the gradient's leading singular vectors.

Leaves that are no matrices, or not larger than the rank, are updated by Adam. Inside
`shard_map` pass `axis_name`, the mesh axis over which the rows of the leaves are split;
the gradients are gathered. Stacked layers: `adamx.stacked`.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..numerics.matrices import HIGHEST, product
from ..numerics.sharding import as_piece, as_whole, unsharded
from ..numerics.splits import whole_shape
from ..parts.denominators import Eps
from ..parts.matrix_views import MatrixView, Named, Side, no_matrix, of_elements
from ..parts.weight_decay import Decay, as_decay, with_rate
from .adam import scale_by_adam


@checked_keywords
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as GaLore does: `galore` without decay, learning rate and sign.

    Args: as in `galore`.

    State: `mu`, `nu`, `projection`.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """
    adam = scale_by_adam(b1, b2, eps)
    return GaloreProjection(
        adam,
        rank,
        update_proj_gap,
        scale,
        precision=precision,
        axis_name=axis_name,
    )


@checked_keywords
def galore(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    precision: Any = HIGHEST,
    axis_name: Any = None,
) -> Chain:
    """GaLore: run Adam on the gradient projected on its leading singular vectors.

        every T steps:  P = U[:, :r] of G = U S Vᵀ
        R = Pᵀ G,    N = M̂ / (sqrt(V̂) + ε)  of R, as in `adam`
        θ ← θ - α (s P N + λ θ)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        rank: r; leaves with an axis of at most r are updated by Adam.
        update_proj_gap: T.
        scale: s ≥ 0; the paper has 0.25.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0 in units of the gradient, or an eps kind; `EpsBeforeCorrection(1e-6)`
            is the authors' code.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded, as in `muon`.
            The decomposition is in float32 (float64 for float64 leaves).
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    State: `mu` (M), `nu` (V), from 0, r n numbers each of an (m, n) matrix, m ≤ n;
    `projection` (P), m r numbers; 8 bytes per parameter for the leaves that are not
    projected.

    Departs from the paper: the default scale, Optax's; a sign convention for singular
    vectors; weight decay. The authors' code is `chain(scale_by_galore(scale=0.25,
    eps=EpsBeforeCorrection(1e-6)), LearningRate(α), WeightDecayAfterStep(λ,
    learning_rate=α))`, but for a square matrix, which it projects from the other side.
    `optax.contrib.galore` projects from the longer side.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """
    direction = scale_by_galore(
        rank,
        update_proj_gap,
        scale,
        b1=b1,
        b2=b2,
        eps=eps,
        precision=precision,
        axis_name=axis_name,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))


class _Low(Rule):
    """Run a part on low-rank R: the base of GaLore's, Fira's and APOLLO's rules."""

    scope = "tensor"
    plan_name: ClassVar[str] = "GaLore"

    part: Part = part()
    rank: int = option(128, least=1, kw_only=False)
    update_proj_gap: int = option(200, least=1, kw_only=False)
    scale: Hyper = hyper(1.0, allowed=NON_NEGATIVE)
    precision: Any = option(HIGHEST)
    axis_name: Any = option(None)

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        shape = tuple(leaf.shape)
        size = self._size(shape)
        if size is None:
            adam = {"mu", "nu"} <= self.part.slots().keys()
            why = f"the shorter side is at most rank={self.rank}"
            if len(shape) != 2:
                why = no_matrix(shape)
            return of_elements("Adam" if adam else type(self.part).__name__, why)
        (m, n), rank = size, self.rank
        low, wide = ((0,), (1,)) if shape[0] <= shape[1] else ((1,), (0,))
        declared = self.part.slots().items()
        kept = [name for name, slot in declared if not slot.shared]
        projection = self._projected(low, m)
        moments = (Side(wide, n, name, (rank, n)) for name in kept)
        why = f"two axes; rank {rank} of {m}"
        return MatrixView(self.plan_name, why, 1, shape, (projection, *moments))

    def _projected(self, axes: tuple[int, ...], size: int) -> Side:
        """Return what is kept of the side that is projected."""
        return Side(axes, size, "projection", (size, self.rank))

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Return (m, n) with m ≤ n for a leaf that is projected, else None."""
        if len(shape) != 2:
            return None
        m, n = sorted(whole_shape(shape, self.axis_name))
        return (m, n) if self.rank < m else None

    def _like(self, shape_of: Any, otherwise: Any) -> Any:
        """Take the shape from (m, n) for projected leaves, else from `otherwise`."""

        def like(p: Any) -> Any:
            size = self._size(p.shape)
            return otherwise(p) if size is None else jnp.zeros(shape_of(*size), p.dtype)

        return like

    def slots(self) -> dict[str, Slot]:
        low = self._like(lambda m, n: (self.rank, n), lambda p: p)
        return {
            name: slot
            if slot.shared
            else dataclasses.replace(slot, shape_of=low, whole=True)
            for name, slot in self.part.slots().items()
        }

    def _wide(self, x: Any) -> Any:
        x = as_whole(x, self.axis_name)
        return x.T if x.shape[0] > x.shape[1] else x

    def _whole(self, slots: Slots) -> Slots:
        """Return the slots, those of low rank on every device."""
        kept = {name for name, slot in self.slots().items() if slot.whole}
        return {n: unsharded(x) if n in kept else x for n, x in slots.items()}

    def _back(self, x: Any, like: Any) -> Any:
        rows, columns = whole_shape(like.shape, self.axis_name)
        return as_piece(x.T if rows > columns else x, self.axis_name, like)

    def _product(self, a: Any, b: Any) -> Any:
        return product(a, b, self.precision)

    def _due(self, ctx: Context) -> Any:
        return (ctx.count - 1) % self.update_proj_gap == 0


def _nothing(p: Any) -> Array:
    return jnp.zeros((0,), p.dtype)


class GaloreProjection(_Low):
    """Apply a part in the subspace of G's first r left singular vectors (GaLore).

        u = α P part(Pᵀ G)

    P is recomputed every `update_proj_gap` steps; the slots of the part are not
    changed by that. Signs are chosen so that the entry of largest size of each singular
    vector is positive. P is a constant in derivatives.

    Args:
        part: a rule, such as Adam's direction.
        rank: r; update_proj_gap: T; scale: α ≥ 0.
        precision: that of every product.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """

    def slots(self) -> dict[str, Slot]:
        low = self._like(lambda m, n: (m, self.rank), _nothing)
        projection = Slot(shape_of=low, whole=True)
        return {**super().slots(), "projection": projection}

    def _projection(self, g: Any, slots: Slots, ctx: Context) -> Any:
        def leading(g: Any) -> Any:
            u = jnp.linalg.svd(g, full_matrices=False)[0][:, : self.rank]
            largest = jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), 0)[None], 0)
            return u * jnp.where(largest < 0, -1, 1).astype(u.dtype)

        fixed = jax.lax.stop_gradient((g, slots["projection"]))
        due = self._due(ctx)
        return jax.lax.cond(due, lambda g, p: leading(g), lambda g, p: p, *fixed)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if self._size(update.shape) is None:
            return self.part.apply(update, slots, ctx)
        g, slots = self._wide(update), self._whole(slots)
        p = self._projection(g, slots, ctx)
        n, slots = self.part.apply(self._product(p.T, g), slots, ctx)
        u = self.scale * self._product(p, n)
        return self._back(u, update), slots | {"projection": p}
