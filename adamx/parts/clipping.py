"""Clips: bounds on an update, element by element or by the norm of the whole tree."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine import hyperparams as hyper
from ..engine.rule import Rule
from ..engine.state import Leaf, Slots
from ..numerics.arithmetic import safe_sqrt
from ..numerics.norms import norm, shrink


class Clip(Rule):
    """`u ← min(max(u, -Δ), Δ)`, element by element.

    Args:
        max_delta: Δ > 0, in units of the update.
    """

    max_delta: hyper.Hyper = hyper.hyper(
        allowed=hyper.POSITIVE.but("It bounds the size of every element.")
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.clip(update, -self.max_delta, self.max_delta), slots


class ClipByNorm(Rule):
    """`u ← u min(1, Δ / ‖u‖)`, each tensor by its own norm.

    Args:
        max_norm: Δ > 0.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Pascanu et al., "On the difficulty of training recurrent neural
    networks", ICML 2013, Algorithm 1, arXiv:1211.5063.
    """

    max_norm: hyper.Hyper = hyper.hyper(
        allowed=hyper.POSITIVE.but("It bounds the norm of each tensor; 1 is usual.")
    )
    axis_name: Any = hyper.option(None)

    def reach(self) -> str:
        return "per tensor"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return update * shrink(norm(update, self.axis_name), self.max_norm), slots


class ClipByGlobalNorm(Rule):
    """`u ← u min(1, Δ / ‖u‖)` with one norm over all leaves.

    The norm is reduced in float32 (float64 for float64 leaves), whatever the dtype of
    the gradients; a zero update stays zero.

    Args:
        max_norm: Δ > 0.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split:
            the squares are summed over them too. Without it each shard would be
            clipped by its own part of the norm.

    Reference: Pascanu et al., "On the difficulty of training recurrent neural
    networks", ICML 2013, Algorithm 1, arXiv:1211.5063.
    """

    max_norm: hyper.Hyper = hyper.hyper(
        allowed=hyper.POSITIVE.but(
            "It bounds the norm of the whole update; 1 is usual."
        )
    )
    axis_name: Any = hyper.option(None)

    def reach(self) -> str:
        return "global"

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        return {"square_sum": jnp.sum(update * update)}

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        square = totals.get("square_sum", jnp.zeros(()))
        if self.axis_name is not None:
            square = jax.lax.psum(square, self.axis_name)
        return {"global_norm": safe_sqrt(square)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return update * shrink(leaf.shared["global_norm"], self.max_norm), slots
