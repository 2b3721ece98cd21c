"""A part in a subspace of a matrix's rows or columns: GaLore, Fira, APOLLO.

A matrix of m ≤ n is projected from the left, R = Pᵀ G with r rows, a taller one from
the right. Leaves that are no matrices, or have no axis longer than the rank on both
sides, are left to the part as they are. Inside `shard_map` the rows are gathered, and
every device does the whole.
"""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.rule import Part, Rule, part
from .engine.state import Leaf, Slot, Slots
from .numerics.arithmetic import safe_sqrt
from .numerics.norms import norm, own, shards, whole


class _Low(Rule):
    """What the three share: a part whose slots have the shape of R."""

    part: Part = part()
    rank: int = 128
    update_proj_gap: int = 200
    scale: hyper.Hyper = hyper.hyper(1.0, allowed=hyper.NON_NEGATIVE)
    axis_name: Any = hyper.option(None)

    def reach(self) -> str:
        return "per tensor"

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """(m, n) with m ≤ n of a leaf that is projected."""
        if len(shape) != 2:
            return None
        rows = shape[0] * shards(self.axis_name)
        m, n = sorted((rows, shape[1]))
        return (m, n) if self.rank < m else None

    def _like(self, shape_of: Any, otherwise: Any) -> Any:
        """A shape that follows from (m, n), for the leaves that are projected."""

        def like(p: Any) -> Any:
            size = self._size(p.shape)
            return otherwise(p) if size is None else jnp.zeros(shape_of(*size), p.dtype)

        return like

    def slots(self) -> dict[str, Slot]:
        low = self._like(lambda m, n: (self.rank, n), lambda p: p)
        return {
            name: slot if slot.shared else dataclasses.replace(slot, like=low)
            for name, slot in self.part.slots().items()
        }

    def _wide(self, x: Any) -> Any:
        x = whole(x, self.axis_name)
        return x.T if x.shape[0] > x.shape[1] else x

    def _back(self, x: Any, like: Any) -> Any:
        rows = like.shape[0] * shards(self.axis_name)
        return own(x.T if rows > like.shape[1] else x, self.axis_name)

    def _due(self, leaf: Leaf) -> Any:
        return (leaf.count - 1) % self.update_proj_gap == 0


def _nothing(p: Any) -> Array:
    return jnp.zeros((0,), p.dtype)


class InSubspace(_Low):
    """GaLore: `u = α P part(Pᵀ G)`, P the first r left singular vectors of G.

    P is found anew every `update_proj_gap` steps; the slots of the part stay as they
    are. The entry of a vector that is largest in size is positive. In derivatives P is
    constant.

    Args:
        part: a rule, such as Adam's direction.
        rank: r; update_proj_gap: T; scale: α ≥ 0.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, Algorithm 2, arXiv:2403.03507.
    """

    def slots(self) -> dict[str, Slot]:
        projection = Slot(like=self._like(lambda m, n: (m, self.rank), _nothing))
        return {**super().slots(), "projection": projection}

    def _projection(self, g: Any, slots: Slots, leaf: Leaf) -> Any:
        def leading(g: Any) -> Any:
            u = jnp.linalg.svd(g, full_matrices=False)[0][:, : self.rank]
            largest = jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), 0)[None], 0)
            return u * jnp.where(largest < 0, -1, 1).astype(u.dtype)

        fixed = jax.lax.stop_gradient((g, slots["projection"]))
        due = self._due(leaf)
        return jax.lax.cond(due, lambda g, p: leading(g), lambda g, p: p, *fixed)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        if self._size(update.shape) is None:
            return self.part.apply(update, slots, leaf)
        g = self._wide(update)
        p = self._projection(g, slots, leaf)
        n, slots = self.part.apply(p.T @ g, slots, leaf)
        u = self.scale * (p @ n)
        return self._back(u, update), slots | {"projection": p}


class _Limited(Rule):
    """Fira's norm-growth limiter: no step more than γ times as long as the last."""

    def _limit(self, s: Any, before: Any, leaf: Leaf) -> tuple[Any, Any]:
        length = norm(s)
        growth = self.growth  # pyright: ignore[reportAttributeAccessIssue]
        if growth is None:
            return s, length
        allowed = before + self.eps_norm  # pyright: ignore[reportAttributeAccessIssue]
        possible = allowed > 0
        ratio = length / jnp.where(possible, allowed, 1)
        limiter = jnp.where(leaf.count == 1, 1, jnp.maximum(ratio, growth) / growth)
        stopped = (leaf.count > 1) & ~possible & (length > 0)
        s = jnp.where(stopped, 0, s / limiter)
        return s, norm(s)


def _columns(n: Any, r: Any, eps: Any, by_tensor: bool) -> Any:
    """`‖N‖ / (‖R‖ + ε)` of each column, or of the tensor; 0 where that divides by 0."""
    axis = None if by_tensor else 0
    above, below = (
        safe_sqrt(jnp.sum(x * x, axis, keepdims=axis is not None)) for x in (n, r)
    )
    below = below + eps
    some = below > 0
    return jnp.where(some, above / jnp.where(some, below, 1), 0)


class WithResidual(InSubspace, _Limited):
    """Fira: `u = α (P N + S)`, S the rest of the gradient, scaled as N is to R.

        N = part(Pᵀ G),    S = (G - P Pᵀ G) diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns
        S ← S γ / max(‖S‖ / (‖S of the last step‖ + ε), γ)

    Args: as in `InSubspace`, and
        eps_norm: ε ≥ 0; growth: γ ≥ 1, or None for no limit.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", NeurIPS 2025, Algorithm 1, arXiv:2410.01623.
    """

    eps_norm: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    growth: float | None = 1.01

    def slots(self) -> dict[str, Slot]:
        length = Slot(like=self._like(lambda m, n: (), _nothing), signed=False)
        return {**super().slots(), "length": length}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        if self._size(update.shape) is None:
            return self.part.apply(update, slots, leaf)
        g = self._wide(update)
        p = self._projection(g, slots, leaf)
        r = p.T @ g
        n, slots = self.part.apply(r, slots, leaf)
        s = (g - p @ r) * _columns(n, r, self.eps_norm, False)
        s, length = self._limit(s, slots["length"], leaf)
        u = self.scale * (p @ n + s)
        return self._back(u, update), slots | {"projection": p, "length": length}


def random_projection(
    seed: int, path: str, draw: Any, shape: tuple[int, int], dtype: Any
) -> Array:
    """P of `shape` (m, r) from N(0, 1/r): a function of seed, path and draw alone."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(path.encode()))
    normal = jax.random.normal(jax.random.fold_in(key, draw), shape, dtype)
    return normal / shape[1] ** 0.5


class ScaledByChannel(_Low, _Limited):
    """APOLLO: the gradient, each column scaled as the part scales it in a subspace.

        R = Pᵀ G, P ~ N(0, 1/r);    N = part(R)
        u = α G diag(‖N_i‖ / (‖R_i‖ + ε)),  i the columns, or one factor for the tensor

    and Fira's limiter. P is drawn anew every `update_proj_gap` steps, from the seed,
    the leaf's path and the number of the draw: nothing of it is kept.

    Args:
        part: a rule, such as Adam's direction.
        rank: r; update_proj_gap: T; scale: α ≥ 0.
        eps_norm: ε ≥ 0, added to ‖R_i‖ and to the last length.
        growth: γ ≥ 1 of the limiter, or None for none.
        by_tensor: one factor for the tensor (APOLLO-Mini).
        seed: of the projections.
        axis_name: inside `shard_map`, the mesh axis over which the rows are split.

    Reference: Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", MLSys
    2025, Algorithm 1, arXiv:2412.05270.
    """

    eps_norm: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    growth: float | None = 1.01
    by_tensor: bool = hyper.option(False)
    seed: int = hyper.option(0)

    def reads_path(self) -> bool:
        return True

    def slots(self) -> dict[str, Slot]:
        length = Slot(like=self._like(lambda m, n: (), _nothing), signed=False)
        return {**super().slots(), "length": length}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        size = self._size(update.shape)
        if size is None:
            return self.part.apply(update, slots, leaf)
        g = self._wide(update)
        draw = (leaf.count - 1) // self.update_proj_gap
        shape = (size[0], self.rank)
        p = random_projection(self.seed, leaf.path or "", draw, shape, g.dtype)
        r = p.T @ g
        n, slots = self.part.apply(r, slots, leaf)
        s = g * _columns(n, r, self.eps_norm, self.by_tensor)
        s, length = self._limit(s, slots["length"], leaf)
        return self._back(self.scale * s, update), slots | {"length": length}
