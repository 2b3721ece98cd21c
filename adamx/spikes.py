"""Clips against the past: a gradient or a step that is suddenly much larger."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from . import errors as _checks
from .engine import hyperparams as hyper
from .engine.rule import Rule
from .engine.state import Leaf, Slot, Slots
from .numerics.arithmetic import lerp, safe_sqrt
from .numerics.norms import across, norm, shrink


def _one(param: Array) -> Array:
    """One number for a whole tensor."""
    return jnp.sum(param)


class AdaptiveClip(Rule):
    """AdaGC: each tensor's gradient, at most a little longer than usual for it.

        t < warmup:  g ← g min(1, λ_abs / ‖all g‖),    γ ← min(γ, ‖g‖)
        then:        g ← g min(1, λ_rel γ / ‖g‖),      γ ← β γ + (1 - β) ‖g‖

    First in a chain. A tensor whose gradient is zero once during the warm-up is clipped
    to zero for ever: that is the algorithm.

    Args:
        decay: β in [0, 1), of the usual length γ.
        lambda_abs: λ_abs > 0, the global norm during the warm-up.
        lambda_rel: λ_rel > 0, the growth that is allowed afterwards.
        warmup: the first step that is clipped by γ.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        name: the slot that holds γ, one number a tensor; the first step sets it.

    Reference: Wang et al., "AdaGC: enhancing LLM pretraining stability via adaptive
    gradient clipping", 2025, Algorithm 1, arXiv:2502.11034.
    """

    decay: hyper.Hyper = hyper.hyper(0.98, allowed=hyper.FRACTION)
    lambda_abs: hyper.Hyper = hyper.hyper(1.0, allowed=hyper.POSITIVE)
    lambda_rel: hyper.Hyper = hyper.hyper(1.05, allowed=hyper.POSITIVE)
    warmup: int = 100
    axis_name: Any = hyper.option(None)
    name: str = hyper.option("usual_norm")

    @property
    def public_names(self) -> dict[str, str]:
        return {"decay": f"{self.name}_decay"}

    def reach(self) -> str:
        return "global"

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(like=_one, signed=False)}

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        return {"clip_squares": jnp.sum(update * update)}

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        squares = totals.get("clip_squares", jnp.zeros(()))
        return {"clip_norm": safe_sqrt(across(squares, self.axis_name))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        usual, warming = slots[self.name], leaf.count < self.warmup
        length = norm(update, self.axis_name)
        together = shrink(leaf.shared["clip_norm"], self.lambda_abs)
        alone = shrink(length, self.lambda_rel * usual)
        first = leaf.count == 1
        scale = jnp.where(warming, together, jnp.where(first, 1, alone))
        clipped = scale * length
        least = jnp.where(first, clipped, jnp.minimum(usual, clipped))
        average = jnp.where(first, clipped, lerp(usual, clipped, self.decay))
        usual = jnp.where(warming, least, average)
        return update * scale, slots | {self.name: usual}


class SpikeClip(Rule):
    """SPAM's clip: an element whose square is far above its usual square.

        g² > θ v:  g ← sign(g) sqrt(θ v)

    First in a chain, before the part that keeps v, which it reads as it was after the
    step before: `chain(SpikeClip(), adam(1e-3))`. From v = 0 everything would be
    clipped to 0, so the first steps are left alone.

    Args:
        threshold: θ > 0.
        warmup: the first step that is clipped.
        every: where v begins anew at every so many steps (`Restarted`), as many steps
            are left alone after each of them too; None where it does not.
        slot: the slot that holds v.

    Reference: Huang et al., "SPAM: spike-aware Adam with momentum reset for stable LLM
    training", ICLR 2025, Algorithm 1, arXiv:2501.06842.
    """

    threshold: hyper.Hyper = hyper.hyper(5000.0, allowed=hyper.POSITIVE)
    warmup: int = 20
    every: int | None = None
    slot: str = hyper.option("nu")

    @property
    def public_names(self) -> dict[str, str]:
        return {"threshold": "spike_threshold"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        if self.slot not in slots:
            raise _checks.AdamxError(
                f"SpikeClip: `slot` must be kept by a later part of the same chain, "
                f"got {self.slot!r}. {_checks.suggest(self.slot, slots)}"
            )
        most = safe_sqrt(self.threshold * slots[self.slot])
        clipped = jnp.clip(update, -most, most)
        since = leaf.count if self.every is None else leaf.count % self.every
        early = (leaf.count < self.warmup) | (since < self.warmup)
        return jnp.where(early, update, clipped), slots


class LimitNormGrowth(Rule):
    """`u ← u min(1, γ (‖u'‖ + ε) / ‖u‖)`, where u' is what was returned before.

    After the direction of a member, for each tensor. The first step is not limited. In
    the paper's form (ε = 0) a step of exactly 0 is never left again.

    Args:
        limit: γ > 0, the growth that is allowed.
        eps: ε ≥ 0; the authors' code has 1e-8.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        name: the slot that holds ‖u'‖, one number a tensor; the first step sets it.

    Reference: Chen et al., "Fira: can we achieve full-rank training of LLMs under
    low-rank constraint?", 2024, arXiv:2410.01623.
    """

    limit: hyper.Hyper = hyper.hyper(1.01, allowed=hyper.POSITIVE)
    eps: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    axis_name: Any = hyper.option(None)
    name: str = hyper.option("norm_before")

    @property
    def public_names(self) -> dict[str, str]:
        return {"eps": f"{self.name}_eps"}

    def reach(self) -> str:
        return "per tensor"

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(like=_one, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        length = norm(update, self.axis_name)
        scale = shrink(length, self.limit * (slots[self.name] + self.eps))
        scale = jnp.where(leaf.count == 1, 1, scale)
        return update * scale, slots | {self.name: scale * length}
