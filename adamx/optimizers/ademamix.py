"""AdEMAMix and Simplified AdEMAMix: Adam with a fast and a slow first moment."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    Hyper,
    Interval,
    ScalarOrSchedule,
    hyper,
    normalise,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import one_minus_power
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import adam_denominator

_SHARE = NON_NEGATIVE.but("It weighs one average against the other.")
_STEPS = POSITIVE.but("It is a number of steps; without a warm-up pass the number.")
_OPEN = Interval(0.0, 1.0, "()", "Its logarithm is taken.")


def alpha_warmup(alpha: float, warmup: int) -> Any:
    """Warm AdEMAMix's α up linearly, from 0 to `alpha` over `warmup` steps.

    As a value: `adamx.schedule(adamx.alpha_warmup, alpha=5.0, warmup=10_000)`.

    Raises:
        ValueError: `alpha` below 0, or `warmup` not above 0.
    """
    alpha = normalise("alpha_warmup", "alpha", alpha, _SHARE)
    warmup = normalise("alpha_warmup", "warmup", warmup, _STEPS)
    return lambda count: jnp.minimum((count + 1.0) * (alpha / warmup), alpha)


def b3_warmup(b3: float, warmup: int, b_start: float = 0.9) -> Any:
    """Warm AdEMAMix's β₃ up, so that the half-life of the average grows linearly.

        log β(t) = log β_start log β₃ / ((1 - t/T) log β₃ + (t/T) log β_start)

    As a value: `adamx.schedule(adamx.b3_warmup, b3=0.9999, warmup=10_000)`. Also the
    warm-up of β₁ in Simplified-AdEMAMix.

    Raises:
        ValueError: `b3` or `b_start` not in (0, 1), or `warmup` not above 0.
    """
    b3 = normalise("b3_warmup", "b3", b3, _OPEN)
    b_start = normalise("b3_warmup", "b_start", b_start, _OPEN)
    warmup = normalise("b3_warmup", "warmup", warmup, _STEPS)
    start, end = math.log(b_start), math.log(b3)

    def schedule(count: Any) -> Any:
        share = jnp.minimum((count + 1.0) / warmup, 1)
        log_b = start * end / ((1 - share) * end + share * start)
        return jnp.minimum(jnp.exp(log_b), b3)

    return schedule


class MixtureOfEmas(Rule):
    """Add two averages of the gradient, `fast(g) + α slow(g)`.

    Args:
        fast: a moment, such as `Debiased(Ema(0.9))`.
        slow: a moment with a longer half-life, such as `Ema(0.9999, name="mu_slow")`.
        alpha: α ≥ 0, the weight of the slow one.
    """

    fast: Part = part()
    slow: Part = part()
    alpha: Hyper = hyper(allowed=_SHARE)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m1, slots = self.fast.apply(update, slots, ctx)
        m2, slots = self.slow.apply(update, slots, ctx)
        return m1 + self.alpha * m2, slots


class AccumulatedMomentum(Rule):
    """Return `m + α g`, where the momentum `m ← β m + g` is a decayed sum.

    Args:
        b1: β in [0, 1), the weight of the past.
        alpha: α ≥ 0, the weight of the current gradient, in addition to its share in m.
        bias_correction1: divide by the weights in m, 1 + β + β² + …
    """

    b1: Hyper = hyper(allowed=FRACTION)
    alpha: Hyper = hyper(0.0, allowed=_SHARE)
    bias_correction1: bool = False

    def _weight_after(self, count: Array) -> Array:
        b1: Any = self.b1(count) if callable(self.b1) else self.b1
        return one_minus_power(b1, count) / (1 - b1)

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot()}
        if self.bias_correction1:
            slots["mu_weight"] = Slot(
                shared=True, signed=False, from_count=self._weight_after
            )
        return slots

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        if not self.bias_correction1:
            return {}
        return {"mu_weight": self.b1 * kept["mu_weight"] + 1}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m = self.b1 * slots["mu"] + update
        mixed = m + self.alpha * update
        if self.bias_correction1:
            mixed = mixed / ctx.shared["mu_weight"]
        return mixed, slots | {"mu": m}


@checked_keywords
def scale_by_ademamix(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdEMAMix does: `ademamix` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the fast mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of the slow mean of the gradient.
        alpha: α ≥ 0, the weight of the slow mean; Optax's default, where that of
            `ademamix` is 5.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.

    State: `mu`, `mu_slow`, `nu`; 12 bytes per parameter.

    Reference: Pagliardini, Ablin & Grangier, "The AdEMAMix optimizer: better, faster,
    older", ICLR 2025, Algorithm 1, arXiv:2409.03137.
    """
    slow = Ema(b3, name="mu_slow", public="b3")
    mixed = MixtureOfEmas(Debiased(Ema(b1)), slow, alpha)
    return Precondition(mixed, by=adam_denominator(b2, eps))


@checked_keywords
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """AdEMAMix: Adam that adds a second, much slower average of the gradient.

        m₁ ← β₁ m₁ + (1 - β₁) g                 m̂₁ = m₁ / (1 - β₁ᵗ)
        m₂ ← β₃ m₂ + (1 - β₃) g                 (not corrected)
        v ← β₂ v + (1 - β₂) g²                  v̂ = v / (1 - β₂ᵗ)
        θ ← θ - η ((m̂₁ + α m₂) / (sqrt(v̂) + ε) + λ θ)

    Args:
        learning_rate: η ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the fast mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        b3: β₃ in [0, 1), the decay of the slow mean; the paper warms it up:
            `schedule(b3_warmup, b3=0.9999, warmup=steps)`.
        alpha: α ≥ 0, the weight of the slow mean; the paper warms it up:
            `schedule(alpha_warmup, alpha=5.0, warmup=steps)`.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m₁), `mu_slow` (m₂), `nu` (v), all from 0; 12 bytes per parameter, and
    the count.

    Departs from the paper: nothing; constants are the default, as in Optax.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Pagliardini, Ablin & Grangier, "The AdEMAMix optimizer: better, faster,
    older", ICLR 2025, Algorithm 1, arXiv:2409.03137.
    """
    direction = scale_by_ademamix(b1, b2, b3, alpha, eps)
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))


@checked_keywords
def scale_by_simplified_ademamix(
    b1: ScalarOrSchedule = 0.99,
    b2: ScalarOrSchedule = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    bias_correction1: bool = False,
) -> Rule:
    """Scale gradients as Simplified AdEMAMix does, without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the weight of the past in the sum of gradients.
        b2: β₂ in [0, 1), the decay of the mean of the square.
        alpha: α ≥ 0, the weight of the current gradient.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        bias_correction1: see `simplified_ademamix`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Morwani et al., "Connections between schedule-free optimizers, AdEMAMix,
    and accelerated SGD variants", 2025, arXiv:2502.02431.
    """
    mixed = AccumulatedMomentum(b1, alpha, bias_correction1)
    return Precondition(mixed, by=adam_denominator(b2, eps))


@checked_keywords
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.99,
    b2: ScalarOrSchedule = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    bias_correction1: bool = False,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """Simplified AdEMAMix: add the current gradient to a decayed sum of gradients.

        m ← β₁ m + g                            (a sum, not a mean)
        v ← β₂ v + (1 - β₂) g²                  v̂ = v / (1 - β₂ᵗ)
        θ ← θ - η ((m + α g) / (sqrt(v̂) + ε) + λ θ)

    Args:
        learning_rate: η ≥ 0, in units of the parameter: 1 - β₁ times Adam's.
        b1: β₁ in [0, 1), the weight of the past; the authors' code warms it up:
            `schedule(b3_warmup, b3=0.99, warmup=steps)`.
        b2: β₂ in [0, 1), the decay of the mean of the square.
        alpha: α ≥ 0, the weight of the current gradient.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        bias_correction1: divide m + α g by the sum of the weights in m (an option of
            the authors' code).
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m, from 0), `nu` (v, from 0); 8 bytes per parameter, and the count.

    Departs from the paper: nothing.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Morwani et al., "Connections between schedule-free optimizers, AdEMAMix,
    and accelerated SGD variants", 2025, arXiv:2502.02431.
    """
    direction = scale_by_simplified_ademamix(
        b1, b2, alpha, eps, bias_correction1=bias_correction1
    )
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))
