"""The trust ratio: each tensor's update scaled by its parameter's norm (LARS, LAMB)."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper, option
from ..engine.state import Context, Slots
from .matrix_rules import TensorRule


class TrustRatio(TensorRule):
    """Multiply each tensor's update by its trust ratio, which is 1 where a norm is 0.

        u ← η φ(‖θ‖) / (‖u‖ + ε) u

    Args:
        trust_coefficient: η ≥ 0, the norm of a step at rate 1, relative to φ(‖θ‖).
        eps: ε ≥ 0, added to ‖u‖.
        phi: φ, a function of ‖θ‖ such as `lambda z: jnp.clip(z, 0.01, 10)`; None for
            ‖θ‖ itself.
        axes: a mask with axes, as those of `Orthogonalize`: each matrix of a leaf has a
            ratio of its own; None for the whole tensor.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, arXiv:1708.03888; You et al., "Large batch optimization for deep learning",
    ICLR 2020, arXiv:1904.00962.
    """

    trust_coefficient: Hyper = hyper(1.0, allowed=NON_NEGATIVE)
    eps: Hyper = hyper(0.0, allowed=NON_NEGATIVE, public="trust_eps")
    phi: Callable[[Any], Any] | None = option(None)
    axes: Any = option(None)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        each = self._norms(update, ctx)
        above = each.of(ctx.param)
        above = above if self.phi is None else self.phi(above)
        below = each.of(update)
        trusted = (above != 0) & (below != 0)
        below = jnp.where(trusted, below, 1) + self.eps
        ratio = jnp.where(trusted, self.trust_coefficient * above / below, 1)
        return each.spread(ratio, update) * update, slots
