"""AdaMax: Adam that divides by a decayed maximum of |g| (the infinity norm)."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema
from ..parts.weight_decay import Decay, as_decay, with_rate


class DecayedMax(Rule):
    """Keep a decayed maximum of |g|: the denominator of AdaMax.

        u ← max(β u, |g| + ε)

    Args:
        decay: β in [0, 1), the factor of the past at every step.
        eps: ε ≥ 0 in units of the gradient, or an eps kind, applied to |g|.
        name: the slot that holds u, from zero.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 2, arXiv:1412.6980.
    """

    decay: Hyper = hyper(
        allowed=FRACTION.but("It is the factor by which the maximum decays."),
        public="b2",
    )
    eps: Hyper | Eps = hyper(
        1e-8,
        allowed=NON_NEGATIVE.but("It keeps the division finite; 1e-8 is usual."),
        or_part=Eps,
    )
    name: str = option("nu")

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if isinstance(self.eps, Eps):
            size = self.eps.denominator(update * update, 1.0)
        else:
            size = jnp.abs(update) + self.eps
        past = slots[self.name]
        u = jnp.maximum(lerp(past, jnp.zeros_like(past), self.decay), size)
        return u, slots | {self.name: u}


@checked_keywords
def scale_by_adamax(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdaMax does: `adamax` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the maximum of its size.
        eps: ε ≥ 0 in units of the gradient, inside the maximum, or an eps kind.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 2, arXiv:1412.6980.
    """
    return Precondition(Debiased(Ema(b1)), by=DecayedMax(b2, eps))


@checked_keywords
def adamax(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Chain:
    """AdaMax: Adam that divides by a decayed maximum of |g| (the infinity norm).

        m ← β₁ m + (1 - β₁) g            m̂ = m / (1 - β₁ᵗ)
        u ← max(β₂ u, |g| + ε)
        θ ← θ - α m̂ / u

    Args:
        learning_rate: α ≥ 0, in units of the parameter; the paper suggests 0.002.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of u, which needs no correction.
        eps: ε ≥ 0 in units of the gradient, inside the maximum as in torch and Optax;
            or an eps kind, such as `EpsAsFloor(1e-8)` for max(|g|, ε).

    State: `mu` (m), `nu` (u), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: ε, which the paper does not have; `eps=0` is the paper's,
    with 0 / 0 = 0.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 2, arXiv:1412.6980.
    """
    return chain(scale_by_adamax(b1, b2, eps), LearningRate(learning_rate))


@checked_keywords
def scale_by_adamaxw(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdaMaxW does before weight decay: see `scale_by_adamax`.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    Algorithm 2, arXiv:1412.6980.
    """
    return scale_by_adamax(b1, b2, eps)


@checked_keywords
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1e-4,
    mask: Any = None,
) -> Chain:
    """AdaMaxW: AdaMax with the decoupled weight decay of AdamW.

        θ ← θ - α (m̂ / u + λ θ)            (m̂ and u as in `adamax`)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the maximum of its size.
        eps: ε ≥ 0 in units of the gradient, inside the maximum, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part; a step removes the share α λ of a
            parameter.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.

    State: `mu` (m), `nu` (u), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: ε and the decay, which the paper of AdaMax does not have.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Kingma & Ba, ICLR 2015, Algorithm 2, arXiv:1412.6980; the decay:
    Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, Algorithm
    2, arXiv:1711.05101.
    """
    direction = scale_by_adamaxw(b1, b2, eps)
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
