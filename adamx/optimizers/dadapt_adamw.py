"""D-Adapted AdamW: AdamW that estimates its rate by D-Adaptation."""

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
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import gathered_weight, lerp, safe_divide, safe_sqrt
from ..numerics.norms import total_of
from ..parts.learning_rate import Negate
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place, decay_term


class DAdaptDirection(Rule):
    """Compute D-Adapted Adam's step, with an estimate d of the solution's distance.

        rate = d η,    r ← β r + (1 - β) rate ⟨g, s / (sqrt(v) + ε)⟩ with the v before
        m ← β₁ m + (1 - β₁) rate g,    v ← β₂ v + (1 - β₂) g²
        s ← β s + (1 - β) rate g,      β = sqrt(β₂)
        d ← max(d, r / ((1 - β) ‖s‖₁));    u = m / (sqrt(v) + ε)

    where η is the rate with Adam's bias correction, sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: a factor in η: 1, or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        estim_lr0: d before the first step.
        weight_decay: λ ≥ 0, decoupled, by the rate d η of the step; or a decay part.
        bias_correction: whether η includes Adam's bias correction.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu`, `nu`, `s`, 12 bytes per parameter, and four scalars.

    Reference: Defazio & Mishchenko, "Learning-rate-free learning by D-Adaptation",
    ICML 2023, arXiv:2301.07733, as in the authors' code.
    """

    scope = "tree"

    learning_rate: Hyper = hyper(1.0, allowed=NON_NEGATIVE)
    b1: Hyper = hyper(0.9, allowed=FRACTION)
    b2: Hyper = hyper(0.999, allowed=FRACTION)
    eps: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    estim_lr0: Hyper = hyper(1e-6, allowed=POSITIVE, scheduled=False)
    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    bias_correction: bool = option(True)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        decays = not is_zero(self.weight_decay)
        return super().needs() | ({"param"} if decays else set())

    def slots(self) -> dict[str, Slot]:
        leaves = {n: Slot(signed=n != "nu") for n in ("mu", "nu", "s")}
        scalars = {n: Slot(shared=True) for n in ("r", "b1_weight", "b2_weight")}
        return leaves | scalars | {"d": Slot(init=self.estim_lr0, shared=True)}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return _corrected_rate(self, kept, count)

    def _s(self, update: Array, slots: Slots, ctx: Context) -> Array:
        root = self.b2**0.5
        return root * slots["s"] + (1 - root) * ctx.shared["rate"] * update

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        root = safe_sqrt(slots["nu"]) + self.eps
        product = jnp.sum(update * safe_divide(slots["s"], root))
        size = jnp.sum(jnp.abs(self._s(update, slots, ctx)))
        return {"product": product, "size": size}

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        d, root = known["d"], self.b2**0.5
        product = total_of(totals, "product", d)
        size = total_of(totals, "size", d)
        r = root * known["r"] + (1 - root) * known["rate"] * product
        return {"r": r, "d": jnp.maximum(d, safe_divide(r, (1 - root) * size))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        rate = ctx.shared["rate"]
        m = lerp(slots["mu"], rate * update, self.b1)
        v = lerp(slots["nu"], update * update, self.b2)
        s = self._s(update, slots, ctx)
        u = safe_divide(m, safe_sqrt(v) + self.eps)
        if not is_zero(self.weight_decay):
            u = u + rate * decay_term(self.weight_decay, None, u, ctx)
        return u, slots | {"mu": m, "nu": v, "s": s}


def _corrected_rate(
    rule: Any, kept: dict[str, Array], count: Array
) -> dict[str, Array]:
    """Return `d η sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ)` and the weights in it."""
    weights = {
        name: gathered_weight(b, kept[name], count)
        for name, b in (("b1_weight", rule.b1), ("b2_weight", rule.b2))
    }
    rate = kept["d"] * rule.learning_rate
    if rule.bias_correction:
        rate = rate * jnp.sqrt(weights["b2_weight"]) / weights["b1_weight"]
    return weights | {"rate": rate, "d_before": kept["d"]}


@checked_keywords
def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: ScalarOrSchedule = 1e-8,
    estim_lr0: ScalarOrSchedule = 1e-6,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    *,
    bias_correction: bool = True,
    axis_name: Any = None,
) -> Chain:
    """D-Adapted AdamW: AdamW whose rate is a lower bound of the solution's distance.

        r ← β r + (1 - β) d η ⟨g, s / (sqrt(v) + ε)⟩         β = sqrt(β₂), v before
        m ← β₁ m + (1 - β₁) d η g,    v ← β₂ v + (1 - β₂) g²
        s ← β s + (1 - β) d η g,      d' = max(d, r / ((1 - β) ‖s‖₁))
        θ ← θ - d η λ θ - m / (sqrt(v) + ε)

    with η the rate times sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: a factor of the estimated rate: 1, or a schedule from 1 down.
        betas: (β₁, β₂), each in [0, 1).
        eps: ε ≥ 0.
        estim_lr0: d before the first step, above 0.
        weight_decay: λ ≥ 0, decoupled; or a decay part, times d η too if it comes
            before the rate.
        bias_correction: whether η includes Adam's bias correction, as Optax has it.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu` (m), `nu` (v), `s`, from 0; 12 bytes per parameter, and four scalars:
    `d` from `estim_lr0`, `r` and two weights from 0.

    Departs from the paper: its listing weighs ⟨g, s⟩ by the root that already contains
    g; this is the authors' code, with the correction on by default, as Optax. That code
    skips the steps before the first gradient that is not zero and does not count them;
    here they count.

    Raises:
        ValueError: an argument out of its range.

    Reference: Defazio & Mishchenko, "Learning-rate-free learning by D-Adaptation",
    ICML 2023, arXiv:2301.07733.
    """
    b1, b2 = betas
    decay, after = by_place(weight_decay)
    direction = DAdaptDirection(
        learning_rate,
        b1,
        b2,
        eps,
        estim_lr0,
        decay,
        bias_correction=bias_correction,
        axis_name=axis_name,
    )
    return chain(direction, Negate(), *after)
