"""Sophia: momentum divided by a running Hessian diagonal, and clipped."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp, safe_divide
from ..parts.clipping import Clip
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, as_decay, with_rate


class DivideByHessian(Rule):
    """Divide a moment by max(γ h, ε), h an average of Hessian estimates (Sophia).

    Args:
        moment: the numerator.
        b2: β₂ in [0, 1), the decay of h.
        gamma: γ > 0, the factor of the Hessian.
        eps: ε ≥ 0, the least denominator.
        update_interval: k; the estimate is used at every k-th step only.
    """

    moment: Part = part()
    b2: Hyper = hyper(0.99, allowed=FRACTION)
    gamma: Hyper = hyper(0.01, allowed=POSITIVE)
    eps: Hyper = hyper(1e-12, allowed=NON_NEGATIVE)
    update_interval: int = option(10, least=1, kw_only=False)

    def slots(self) -> dict[str, Slot]:
        return self.moment.slots() | {"hessian": Slot()}

    def needs(self) -> frozenset[str]:
        return super().needs() | {"hessian"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        h = slots["hessian"]
        due = (ctx.count - 1) % self.update_interval == 0
        # between its steps the estimate may be anything, such as the last one or NaN
        estimate = jnp.where(due, jnp.asarray(ctx.extra["hessian"], update.dtype), h)
        h = jnp.where(due, lerp(h, estimate, self.b2), h)
        u = safe_divide(m, jnp.maximum(self.gamma * h, self.eps))
        return u, slots | {"hessian": h}


@checked_keywords
def scale_by_sophia(
    b1: ScalarOrSchedule = 0.965,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    *,
    gamma: ScalarOrSchedule = 0.01,
    clip_threshold: ScalarOrSchedule = 1.0,
    update_interval: int = 10,
) -> Chain:
    """Scale gradients as Sophia does: `sophia` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the estimates.
        eps: ε ≥ 0, the least denominator.
        gamma: γ > 0, the factor of the Hessian.
        clip_threshold: ρ > 0, the bound of each element.
        update_interval: k, the steps from one estimate to the next.

    State: `mu`, `hessian`; 8 bytes per parameter.

    Reference: Liu et al., "Sophia: a scalable stochastic second-order optimizer for
    language model pre-training", ICLR 2024, Algorithm 3, arXiv:2305.14342.
    """
    newton = DivideByHessian(Ema(b1), b2, gamma, eps, update_interval)
    return chain(newton, Clip(clip_threshold))


@checked_keywords
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.965,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule | Decay = 1e-4,
    mask: Any = None,
    gamma: ScalarOrSchedule = 0.01,
    clip_threshold: ScalarOrSchedule = 1.0,
    update_interval: int = 10,
) -> Chain:
    """Sophia: divide momentum by a running Hessian diagonal, then clip each element.

        m ← β₁ m + (1 - β₁) g
        h ← β₂ h + (1 - β₂) ĥ                  (at the steps 1, k + 1, 2 k + 1, …)
        θ ← θ - η (clip(m / max(γ h, ε), ±ρ) + λ θ)

    Pass `hessian=ĥ`, a tree like the parameters, to every `update`. It is used at every
    k-th step only, so `lax.cond` can skip the estimate at the others.

    Args:
        learning_rate: η ≥ 0, in units of the parameter: the largest step.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the estimates.
        eps: ε ≥ 0, the least denominator; Optax's default, the paper has 1e-12.
        weight_decay: λ ≥ 0 or a decay part; a step removes the share η λ of a
            parameter.
        mask: the leaves that decay, as in `adamw`.
        gamma: γ > 0, the factor of the Hessian, chosen so that 10 to 50 % of the
            elements are not clipped.
        clip_threshold: ρ > 0, the bound of each element before the rate; the paper has
            1.
        update_interval: k, the steps from one estimate to the next.

    State: `mu` (m, from 0), `hessian` (h, from 0); 8 bytes per parameter, and the
    count.

    Departs from the paper: nothing. The authors' code adds ε and updates h after the
    step. Optax corrects m and uses the previous h; its estimator is a part of the
    optimizer, here it is `hutchinson_estimate` or `gauss_newton_bartlett_estimate`.

    Raises:
        ValueError: an argument out of its range; parameters or `hessian` missing.
        TypeError: an argument that is no number, array or schedule.

    Reference: Liu et al., "Sophia: a scalable stochastic second-order optimizer for
    language model pre-training", ICLR 2024, Algorithm 3, arXiv:2305.14342.
    """
    direction = scale_by_sophia(
        b1,
        b2,
        eps,
        gamma=gamma,
        clip_threshold=clip_threshold,
        update_interval=update_interval,
    )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
