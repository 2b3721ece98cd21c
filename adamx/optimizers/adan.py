"""Adan: Adam with Nesterov momentum from the difference of two gradients."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import safe_divide
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, EpsInsideRoot, RootPlusEps
from ..parts.moments import Ema, InitFromFirst, square
from ..parts.weight_decay import Decay, decoupled, with_rate


class AdanDirection(Rule):
    """Compute Adan's direction from the gradient g and the previous one, g'.

    It is `(mean(g) + β₂ change(g - g')) / by(g + β₂ (g - g'))`.

    Args:
        mean: the average of the gradient.
        change: the average of the differences; its decay is β₂.
        by: the denominator, of the gradient with the difference.
    """

    mean: Part = part()
    change: Part = part()
    by: Part = part(kw_only=True)

    def slots(self) -> dict[str, Slot]:
        return super().slots() | {"gradient_before": Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g, b2 = update, self.change.decay
        diff = jnp.where(ctx.count == 1, 0, g - slots["gradient_before"])
        m, slots = self.mean.apply(g, slots, ctx)
        v, slots = self.change.apply(diff, slots, ctx)
        d, slots = self.by.apply(g + b2 * diff, slots, ctx)
        return safe_divide(m + b2 * v, d), slots | {"gradient_before": g}


@checked_keywords
def scale_by_adan(
    b1: ScalarOrSchedule = 0.98,
    b2: ScalarOrSchedule = 0.92,
    b3: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule | Eps = 1e-8,
    eps_root: ScalarOrSchedule = 0.0,
    *,
    from_first: bool = False,
) -> Rule:
    """Scale gradients as Adan does: `adan` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the differences, and their weight.
        b3: β₃ in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        eps_root: see `adan`; 0 by default, as in Optax.
        from_first: see `adan`.

    State: `mu`, `difference`, `nu`, `gradient_before`; 16 bytes per parameter.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """
    started = InitFromFirst if from_first else Debiased
    change = started(Ema(b2, name="difference", public="b2"))
    kind = eps if isinstance(eps, Eps) else EpsInsideRoot(eps_root, eps)
    root = RootPlusEps(started(Ema(b3, square, "nu", public="b3")), kind)
    return AdanDirection(started(Ema(b1)), change, by=root)


@checked_keywords
def adan(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.98,
    b2: ScalarOrSchedule = 0.92,
    b3: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule | Eps = 1e-8,
    eps_root: ScalarOrSchedule = 1e-8,
    *,
    from_first: bool = False,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """Adan: Adam with Nesterov momentum from the difference of two gradients.

        d = g - g'                              (g' the gradient before; 0 at first)
        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) d                   v̂ = v / (1 - β₂ᵗ)
        n ← β₃ n + (1 - β₃) (g + β₂ d)²         n̂ = n / (1 - β₃ᵗ)
        θ ← θ - η ((m̂ + β₂ v̂) / (sqrt(n̂ + ε_root) + ε) + λ θ)

    Args:
        learning_rate: η ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1): 1 minus the paper's β₁.
        b2: β₂ in [0, 1): 1 minus the paper's β₂.
        b3: β₃ in [0, 1): 1 minus the paper's β₃.
        eps: ε ≥ 0 in units of the gradient, or an eps kind, which takes the place of
            both: `EpsOutsideRoot(1e-8)` is the authors' code.
        eps_root: ε_root ≥ 0 in units of the square, under the root, as in the paper
            and Optax; 0 in the authors' code.
        from_first: set the averages to their first values (m = g, v = 0, n = g²), as
            the paper does, instead of correcting them, as the authors' code does.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part. The paper's
            decay is `ProximalWeightDecay(λ, learning_rate=η)`.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m), `difference` (v), `nu` (n), `gradient_before` (g'), all from 0; 16
    bytes per parameter, and the count.

    Departs from the paper: the bias correction and the decay within the step, both
    options of the authors' code; no restart. Optax has 1 - β₂ where β₂ is right.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """
    direction = scale_by_adan(b1, b2, b3, eps, eps_root, from_first=from_first)
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))
