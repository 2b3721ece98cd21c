"""SPAM: Adam with clipped gradient spikes and periodic resets of the moments."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import POSITIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_sqrt
from ..parts.denominators import Eps, before_correction
from ..parts.restarts import PeriodicReset
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import scale_by_adam


@checked_keywords
def scale_by_spam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    spike_threshold: ScalarOrSchedule = 5000.0,
    interval: int = 500,
    warmup_steps: int = 150,
    clip_warmup: int = 20,
    recount: bool = False,
) -> Chain:
    """Scale gradients as SPAM does: `spam` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        spike_threshold: see `spam`.
        interval: see `spam`.
        warmup_steps: see `spam`.
        clip_warmup: see `spam`.
        recount: see `spam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Huang et al., "SPAM: spike-aware Adam with momentum reset for stable LLM
    training", ICLR 2025, Algorithm 1, arXiv:2501.06842.
    """
    adam = scale_by_adam(b1, b2, before_correction(eps))
    return chain(
        SpikeClip(spike_threshold, clip_warmup, interval),
        PeriodicReset(adam, interval, warmup_steps, recount),
    )


@checked_keywords
def spam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    *,
    spike_threshold: ScalarOrSchedule = 5000.0,
    interval: int = 500,
    warmup_steps: int = 150,
    clip_warmup: int = 20,
    recount: bool = False,
) -> Chain:
    """SPAM: Adam that clips gradient spikes and resets its moments periodically.

        t mod ΔT = 0:  m ← 0,  v ← 0
        g² > θ v:      g ← sign(g) sqrt(θ v)          (j = t mod ΔT is at least k)
        m ← β₁ m + (1 - β₁) g                          m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) g²                         v̂ = v / (1 - β₂ᵗ)
        θ ← θ - α (w_j m̂ / (sqrt(v̂) + ε / sqrt(1 - β₂ᵗ)) + λ θ)

    w_j is 1 until the first reset, and 1 - 0.99 (1 + cos(π j / (N + 1))) / 2 in the
    N steps from each.

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.
        spike_threshold: θ > 0, in units of v.
        interval: ΔT, the steps from one reset to the next.
        warmup_steps: N, the length of the warm-up after a reset.
        clip_warmup: k, the number of steps at the beginning and after each reset that
            are not clipped, since v = 0 would clip all to 0.
        recount: bias-correct as if the step of a reset were the first, as the authors
            do in Stable-SPAM.

    State: `mu` (m), `nu` (v), both from zero, also at each reset; 8 bytes per
    parameter, the count, and `since_restart` (j).

    Departs from the paper: every parameter has its moments (density 1). The authors'
    code has the warm-up of the clip, this place of ε and no warm-up of the rate before
    the first reset; it decays after the step (`WeightDecayAfterStep`).

    Raises:
        ValueError: an argument out of its range; decay without parameters.
        TypeError: an argument that is no number, array or schedule.

    Reference: Huang et al., "SPAM: spike-aware Adam with momentum reset for stable LLM
    training", ICLR 2025, Algorithm 1, arXiv:2501.06842.
    """
    direction = scale_by_spam(
        b1,
        b2,
        eps,
        spike_threshold=spike_threshold,
        interval=interval,
        warmup_steps=warmup_steps,
        clip_warmup=clip_warmup,
        recount=recount,
    )
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))


class SpikeClip(Rule):
    """Clip gradient spikes: elements whose square is far above its average (SPAM).

        g² > θ v:  g ← sign(g) sqrt(θ v)

    Put it first in a chain, before the part that keeps v; it uses the v of the previous
    step: `chain(SpikeClip(), adam(1e-3))`. The first steps are not clipped, since v = 0
    would clip all to 0.

    Args:
        threshold: θ > 0.
        warmup: the first step that is clipped.
        every: the period with which v is reset (`PeriodicReset`); the steps after each
            reset are not clipped either. None if v is not reset.
        slot: the slot that holds v.

    Reference: Huang et al., "SPAM: spike-aware Adam with momentum reset for stable LLM
    training", ICLR 2025, Algorithm 1, arXiv:2501.06842.
    """

    takes = "either"

    threshold: Hyper = hyper(5000.0, allowed=POSITIVE, public="spike_threshold")
    warmup: int = option(20, least=0, kw_only=False)
    every: int | None = option(None, least=1, kw_only=False)
    slot: str = option("nu")

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if self.slot not in slots:
            raise errors.AdamxError(
                f"SpikeClip: `slot` must be kept by a later part of the same chain, "
                f"got {self.slot!r}. {errors.suggest(self.slot, slots)}"
            )
        most = safe_sqrt(self.threshold * slots[self.slot])
        clipped = jnp.clip(update, -most, most)
        since = ctx.count if self.every is None else ctx.count % self.every
        early = (ctx.count < self.warmup) | (since < self.warmup)
        return jnp.where(early, update, clipped), slots
