"""NAdam and NAdamW: Adam with Nesterov momentum."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, merge_slots, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema
from ..parts.nesterov import Nesterov
from ..parts.weight_decay import Decay, as_decay, with_rate
from .adam import adam_denominator


class WarmupNesterov(Rule):
    """Apply Nesterov momentum with Dozat's momentum warm-up, as torch.optim.NAdam.

        μ_t = β (1 - 0.96**(t ψ) / 2)
        m̂ = μ_{t+1} m / (1 - μ_1 … μ_{t+1}) + (1 - μ_t) g / (1 - μ_1 … μ_t)

    The average m itself decays by β. One minus the product of the μ is kept in the
    shared slot `<name>_weight`.

    Args:
        moment: an average of the gradient such as `Ema(0.9)`.
        momentum_decay: ψ ≥ 0; 0 is a constant μ = β / 2.
    """

    moment: Part = part()
    momentum_decay: Hyper = hyper(
        4e-3, allowed=NON_NEGATIVE.but("It is the speed of the warm-up.")
    )

    def slots(self) -> dict[str, Slot]:
        weight = Slot(shared=True, signed=False)
        return merge_slots(self) | {f"{self.moment.name}_weight": weight}

    def _momentum(self, t: Array) -> Array:
        warmth = jnp.exp(math.log(0.96) * t * self.momentum_decay)
        return self.moment.decay * (1 - warmth / 2)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        name = self.moment.name
        now, after = self._momentum(count), self._momentum(count + 1)
        w = lerp(kept[f"{name}_weight"], jnp.ones_like(count), now)
        return self.moment.shared(kept, count) | {
            f"{name}_weight": w,
            f"{name}_share": after / lerp(w, jnp.ones_like(w), after),
            f"{name}_fresh": (1 - now) / w,
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        name, known = self.moment.name, ctx.shared
        m_hat = known[f"{name}_share"] * m + known[f"{name}_fresh"] * update
        return m_hat, slots


@checked_keywords
def scale_by_nadam(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    momentum_decay: ScalarOrSchedule | None = None,
) -> Rule:
    """Scale gradients as NAdam does: `nadam` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        momentum_decay: None, or torch's ψ: see `nadam`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
    Algorithm 2.
    """
    if momentum_decay is None:
        moment = Nesterov(Debiased(Ema(b1)))
    else:
        moment = WarmupNesterov(Ema(b1), momentum_decay)
    return Precondition(moment, by=adam_denominator(b2, eps))


@checked_keywords
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    momentum_decay: ScalarOrSchedule | None = None,
) -> Chain:
    """NAdam: Adam that uses Nesterov momentum.

        m ← β₁ m + (1 - β₁) g
        m̂ = β₁ m / (1 - β₁ᵗ⁺¹) + (1 - β₁) g / (1 - β₁ᵗ)
        θ ← θ - α m̂ / (sqrt(v̂) + ε)            (v̂ as in `adam`)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of m. A schedule is also evaluated at the next step.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        momentum_decay: None for a constant momentum, the simplified form that Optax has
            too, or ψ ≥ 0 for torch's, whose momentum warms up,
            μ_t = β₁ (1 - 0.96**(t ψ) / 2); torch's ψ is 0.004.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.
    With ψ also the scalar `mu_weight`.

    Departs from the paper: v̂ is not multiplied by β₂, as in torch, Optax and the
    author's later versions; ε is outside the root; no warm-up of the momentum
    by default. The paper's own warm-up can be given as a schedule for `b1`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
    Algorithm 2.
    """
    direction = scale_by_nadam(b1, b2, eps, momentum_decay=momentum_decay)
    return chain(direction, LearningRate(learning_rate))


@checked_keywords
def scale_by_nadamw(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    momentum_decay: ScalarOrSchedule | None = None,
) -> Rule:
    """Scale gradients as NAdamW does before weight decay: see `scale_by_nadam`.

    Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
    Algorithm 2.
    """
    return scale_by_nadam(b1, b2, eps, momentum_decay=momentum_decay)


@checked_keywords
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1e-4,
    mask: Any = None,
    momentum_decay: ScalarOrSchedule | None = None,
) -> Chain:
    """NAdamW: NAdam with the decoupled weight decay of AdamW.

        θ ← θ - α (m̂ / (sqrt(v̂) + ε) + λ θ)            (m̂ and v̂ as in `nadam`)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part; a step removes the share α λ of a
            parameter.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        momentum_decay: None, or torch's ψ: see `nadam`.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.
    With ψ also the scalar `mu_weight`.

    Departs from the paper: as `nadam`, and the decay. The NAdamW of AlgoPerf, with one
    correction for both terms of m̂, is `chain(Precondition(Debiased(LookAhead(Ema(b1))),
    by=RootPlusEps(Debiased(Ema(b2, square, "nu")))), WeightDecay(λ), LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
    Algorithm 2; the decay: Loshchilov & Hutter, ICLR 2019, Algorithm 2,
    arXiv:1711.05101; AlgoPerf: Dahl et al., "Benchmarking
    neural network training algorithms", 2023, arXiv:2306.07179.
    """
    direction = scale_by_nadamw(b1, b2, eps, momentum_decay=momentum_decay)
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
