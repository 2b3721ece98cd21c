"""Clipping of an update: by element, by tensor norm or RMS, or by global norm."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import FRACTION, NON_NEGATIVE, POSITIVE, Hyper, hyper, option
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp, safe_sqrt
from ..numerics.norms import norm, rms, shrink


class Clip(Rule):
    """Clip each element: `u ← min(max(u, -Δ), Δ)`.

    Args:
        max_delta: Δ > 0, in units of the update.
    """

    takes = "either"

    max_delta: Hyper = hyper(
        allowed=POSITIVE.but("It bounds the size of every element.")
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.clip(update, -self.max_delta, self.max_delta), slots


class ClipByNorm(Rule):
    """Clip each tensor by its own norm: `u ← u min(1, Δ / ‖u‖)`.

    Args:
        max_norm: Δ > 0.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Pascanu et al., "On the difficulty of training recurrent neural
    networks", ICML 2013, Algorithm 1, arXiv:1211.5063.
    """

    scope = "tensor"
    takes = "either"

    max_norm: Hyper = hyper(
        allowed=POSITIVE.but("It bounds the norm of each tensor; 1 is usual.")
    )
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return update * shrink(norm(update, self.axis_name), self.max_norm), slots


class ClipByGlobalNorm(Rule):
    """Clip by the global norm: `u ← u min(1, Δ / ‖u‖)`, one norm over all leaves.

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

    scope = "tree"
    takes = "either"

    max_norm: Hyper = hyper(
        allowed=POSITIVE.but("It bounds the norm of the whole update; 1 is usual.")
    )
    axis_name: Any = option(None)

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return {"square_sum": jnp.sum(update * update)}

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        square = totals.get("square_sum", jnp.zeros(()))
        return {"global_norm": safe_sqrt(square)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return update * shrink(ctx.shared["global_norm"], self.max_norm), slots


class ClipByRms(Rule):
    """Clip each tensor by its RMS: `u ← u / max(1, RMS(u) / d)`.

    Args:
        clipping_threshold: d > 0, in units of the update.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, section 6, arXiv:1804.04235.
    """

    scope = "tensor"
    takes = "either"

    clipping_threshold: Hyper = hyper(1.0, allowed=POSITIVE)
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        over = rms(update, self.axis_name) / self.clipping_threshold
        return update / jnp.maximum(over, 1), slots


def _one(param: Array) -> Array:
    """Reduce a tensor to the shape of one number."""
    return jnp.sum(param)


class AdaptiveClip(Rule):
    """Clip each tensor's gradient by the moving average of its norm (AdaGC).

        t < warmup:  g ← g min(1, λ_abs / ‖all g‖),    γ ← min(γ, ‖g‖)
        then:        g ← g min(1, λ_rel γ / ‖g‖),      γ ← β γ + (1 - β) ‖g‖

    Put it first in a chain. As in the paper, a tensor whose gradient is zero once
    during the warm-up is clipped to zero from then on.

    Args:
        decay: β in [0, 1), the decay of γ, the average norm.
        lambda_abs: λ_abs > 0, the global norm during the warm-up.
        lambda_rel: λ_rel > 0, the allowed growth of the norm afterwards.
        warmup: the first step that is clipped by γ.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        name: the slot that holds γ, one number a tensor; the first step sets it.

    Reference: Wang et al., "AdaGC: enhancing LLM pretraining stability via adaptive
    gradient clipping", 2025, Algorithm 1, arXiv:2502.11034.
    """

    scope = "tree"
    takes = "either"

    decay: Hyper = hyper(
        0.98, allowed=FRACTION, public=lambda self: f"{self.name}_decay"
    )
    lambda_abs: Hyper = hyper(1.0, allowed=POSITIVE)
    lambda_rel: Hyper = hyper(1.05, allowed=POSITIVE)
    warmup: int = option(100, least=0, kw_only=False)
    axis_name: Any = option(None)
    name: str = option("usual_norm")

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(shape_of=_one, signed=False)}

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return {"clip_squares": jnp.sum(update * update)}

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        squares = totals.get("clip_squares", jnp.zeros(()))
        return {"clip_norm": safe_sqrt(squares)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        usual, warming = slots[self.name], ctx.count < self.warmup
        length = norm(update, self.axis_name)
        together = shrink(ctx.shared["clip_norm"], self.lambda_abs)
        alone = shrink(length, self.lambda_rel * usual)
        first = ctx.count == 1
        scale = jnp.where(warming, together, jnp.where(first, 1, alone))
        clipped = scale * length
        least = jnp.where(first, clipped, jnp.minimum(usual, clipped))
        average = jnp.where(first, clipped, lerp(usual, clipped, self.decay))
        usual = jnp.where(warming, least, average)
        return update * scale, slots | {self.name: usual}


class ClipNormGrowth(Rule):
    """Limit the growth of each tensor's norm: `u ← u min(1, γ (‖u'‖ + ε) / ‖u‖)`.

    u' is the previous result. Put it after the direction of an optimizer. The first
    step is not limited. In the paper's form (ε = 0) a step of exactly 0 makes all later
    ones 0.

    Args:
        limit: γ > 0, the allowed growth.
        eps: ε ≥ 0; the authors' code has 1e-8.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        name: the slot that holds ‖u'‖, one number a tensor; the first step sets it.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", 2024, arXiv:2410.01623.
    """

    scope = "tensor"
    takes = "either"

    limit: Hyper = hyper(1.01, allowed=POSITIVE)
    eps: Hyper = hyper(
        1e-8, allowed=NON_NEGATIVE, public=lambda self: f"{self.name}_eps"
    )
    axis_name: Any = option(None)
    name: str = option("norm_before")

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(shape_of=_one, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        length = norm(update, self.axis_name)
        scale = shrink(length, self.limit * (slots[self.name] + self.eps))
        scale = jnp.where(ctx.count == 1, 1, scale)
        return update * scale, slots | {self.name: scale * length}
