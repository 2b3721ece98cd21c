"""Gradient noise from a counter-based generator, without state, reproducible."""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, Hyper, hyper, option
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.splits import names_of


class GradientNoise(Rule):
    """Add annealed Gaussian noise to the gradient.

        g ← g + σ_t N(0, 1),    σ_t² = η / t^γ

    with t = 1 at the first step. Put it first in a chain. The random bits depend only
    on the seed, the step, the leaf's path and the index in the leaf: there is no state,
    and a restored run draws the same noise, under `jit` on any number of devices.
    Inside `shard_map` each shard draws by its own index: pass `axis_name`.

    Args:
        noise_variance: η ≥ 0, the variance at the first step.
        gamma: γ, how fast the variance falls.
        seed: an integer.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Neelakantan et al., "Adding gradient noise improves learning for very
    deep networks", 2015, arXiv:1511.06807.
    """

    takes = "either"

    noise_variance: Hyper = hyper(0.01, allowed=NON_NEGATIVE)
    gamma: Hyper = hyper(0.55, public="noise_gamma")
    seed: int = option(0, least=0, kw_only=False)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"path"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        key = jax.random.key(self.seed)
        key = jax.random.fold_in(key, zlib.crc32((ctx.path or "").encode()))
        key = jax.random.fold_in(key, ctx.count)
        if names := names_of(self.axis_name):
            key = jax.random.fold_in(key, jax.lax.axis_index(names))
        t = ctx.count.astype(update.dtype)
        deviation = jnp.sqrt(self.noise_variance / t**self.gamma)
        return update + deviation * jax.random.normal(
            key, update.shape, update.dtype
        ), slots
