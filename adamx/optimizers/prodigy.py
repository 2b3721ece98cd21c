"""Prodigy: Adam whose rate is an estimate of the distance to the solution."""

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
from ..engine.state import Context, Slot, Slots, copied
from ..numerics.arithmetic import lerp, safe_divide, safe_sqrt
from ..numerics.norms import total_of
from ..parts.learning_rate import Negate
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place, decay_term
from .dadapt_adamw import _corrected_rate


@checked_keywords
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: tuple[Any, Any] = (0.9, 0.999),
    beta3: Any = None,
    eps: ScalarOrSchedule = 1e-8,
    estim_lr0: ScalarOrSchedule = 1e-6,
    estim_lr_coef: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    safeguard_warmup: bool = False,
    *,
    bias_correction: bool = True,
    axis_name: Any = None,
) -> Chain:
    """Prodigy: Adam whose rate is an estimate of the distance to the solution.

        m ← β₁ m + (1 - β₁) d g,    v ← β₂ v + (1 - β₂) d² g²
        r ← β₃ r + d (d η) ⟨g, θ_0 - θ⟩,    s ← β₃ s + d (d η) g
        d' = max(d, c r / ‖s‖₁)
        θ ← θ - d η m / (sqrt(v) + d' ε)

    with η the rate times sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: a factor of the estimated rate: 1, or a schedule from 1 down.
        betas: (β₁, β₂), each in [0, 1).
        beta3: β₃ in [0, 1), of r and s; None for sqrt(β₂).
        eps: ε ≥ 0.
        estim_lr0: d before the first step, above 0.
        estim_lr_coef: c, above 0.
        weight_decay: λ ≥ 0, decoupled: θ ← (1 - λ d η) θ before the step; or a decay
            part, times d η too if it comes before the rate.
        safeguard_warmup: leave η out of s.
        bias_correction: whether η includes Adam's bias correction, as Optax has it.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu` (m), `nu` (v), `s`, from 0, `start` (θ_0); 16 bytes per parameter, and
    four scalars: `d` from `estim_lr0`, `r` and two weights from 0.

    Departs from the paper: the form is the authors' code, with d' in the ε, c, the
    decay and, as Optax, the correction on by default. That code skips the steps before
    the first gradient that is not zero and does not count them; here they count.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Mishchenko & Defazio, "Prodigy: an expeditiously adaptive
    parameter-free learner", ICML 2024, Algorithm 4, arXiv:2306.06101.
    """
    b1, b2 = betas
    decay, after = by_place(weight_decay)
    direction = ProdigyDirection(
        learning_rate,
        b1,
        b2,
        beta3,
        eps,
        estim_lr0,
        estim_lr_coef,
        decay,
        safeguard_warmup=safeguard_warmup,
        bias_correction=bias_correction,
        axis_name=axis_name,
    )
    return chain(direction, Negate(), *after)


class ProdigyDirection(Rule):
    """Compute Prodigy's step, with an estimate d of the distance to the solution.

        m ← β₁ m + (1 - β₁) d g,    v ← β₂ v + (1 - β₂) d² g²
        r ← β₃ r + d (d η) ⟨g, θ_0 - θ⟩,    s ← β₃ s + d (d η) g
        d ← max(d, c r / ‖s‖₁);    u = d η m / (sqrt(v) + d ε)

    where η is the rate with Adam's bias correction, sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ); the d of
    the rate is the one before this step's update of d, that of ε the one after.

    Args:
        learning_rate: a factor in η: 1, or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        b3: β₃ in [0, 1), of r and s; None for sqrt(β₂).
        eps: ε ≥ 0.
        estim_lr0: d before the first step.
        estim_lr_coef: c.
        weight_decay: λ ≥ 0, decoupled, by the same rate as the step; or a decay part.
        safeguard_warmup: leave η out of s.
        bias_correction: whether η includes Adam's bias correction.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu`, `nu`, `s`, `start`, 16 bytes per parameter, and four scalars.

    Reference: Mishchenko & Defazio, "Prodigy: an expeditiously adaptive
    parameter-free learner", ICML 2024, Algorithm 4, arXiv:2306.06101, as in the
    authors' code.
    """

    scope = "tree"

    learning_rate: Hyper = hyper(1.0, allowed=NON_NEGATIVE)
    b1: Hyper = hyper(0.9, allowed=FRACTION)
    b2: Hyper = hyper(0.999, allowed=FRACTION)
    b3: Hyper = hyper(None, allowed=FRACTION, or_part=type(None))
    eps: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    estim_lr0: Hyper = hyper(1e-6, allowed=POSITIVE, scheduled=False)
    estim_lr_coef: Hyper = hyper(1.0, allowed=POSITIVE)
    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    safeguard_warmup: bool = option(False)
    bias_correction: bool = option(True)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        leaves = {n: Slot(signed=n != "nu") for n in ("mu", "nu", "s")}
        scalars = {n: Slot(shared=True) for n in ("r", "b1_weight", "b2_weight")}
        distance = {"d": Slot(init=self.estim_lr0, shared=True)}
        return leaves | scalars | distance | {"start": Slot(init=copied)}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return _corrected_rate(self, kept, count)

    def _s(self, update: Array, slots: Slots, ctx: Context) -> Array:
        d = ctx.shared["d_before"]
        weight = d * (d if self.safeguard_warmup else ctx.shared["rate"])
        return self._b3() * slots["s"] + weight * update

    def _b3(self) -> Any:
        return self.b2**0.5 if self.b3 is None else self.b3

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        progress = jnp.sum(update * (slots["start"] - ctx.param))
        return {
            "progress": progress,
            "size": jnp.abs(self._s(update, slots, ctx)).sum(),
        }

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        d, rate = known["d"], known["rate"]
        progress = total_of(totals, "progress", d)
        size = total_of(totals, "size", d)
        r = self._b3() * known["r"] + d * rate * progress
        found = self.estim_lr_coef * safe_divide(r, size)
        return {"r": r, "d": jnp.where(size > 0, jnp.maximum(d, found), d)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g = ctx.shared["d_before"] * update
        m, v = lerp(slots["mu"], g, self.b1), lerp(slots["nu"], g * g, self.b2)
        u = safe_divide(m, safe_sqrt(v) + ctx.shared["d"] * self.eps)
        if not is_zero(self.weight_decay):
            u = u + decay_term(self.weight_decay, None, u, ctx)
        s = self._s(update, slots, ctx)
        return ctx.shared["rate"] * u, slots | {"mu": m, "nu": v, "s": s}
