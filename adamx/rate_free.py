"""Rates that are found: from how far the parameters have come from where they began.

Global rules: each needs norms or inner products over the whole tree. They return the
direction times the rate found; `LearningRate` after them multiplies it (1 is usual).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.rule import Rule
from .engine.state import Leaf, Slot, Slots, copied
from .numerics.arithmetic import gathered_weight, lerp, safe_divide, safe_sqrt


def _reduced(totals: dict[str, Array], name: str, like: Array, axis_name: Any) -> Array:
    total = totals.get(name, jnp.zeros_like(like)).astype(like.dtype)
    return total if axis_name is None else jax.lax.psum(total, axis_name)


def _over(distance: Array, root: Array) -> Array:
    """The rate; 0, not infinite, while no gradient has been seen."""
    seen = root > 0
    return jnp.where(seen, distance / jnp.where(seen, root, 1), 0)


class _RateFree(Rule):
    """A global rule that remembers where the parameters began."""

    def reach(self) -> str:
        return "global"

    def reads_param(self) -> bool:
        return True


class DistanceOverGradients(_RateFree):
    """DoG: `u = g r̄ / sqrt(Σ ‖g‖² + ε)`, r̄ the farthest distance from the start.

    Args:
        init_distance: r̄ before the first step, in units of 1 + ‖θ_0‖.
        eps: ε ≥ 0, added to the sum once.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start`, 4 bytes per parameter, and three scalars.

    Reference: Ivgi, Hinder & Carmon, "DoG is SGD's best friend", ICML 2023,
    arXiv:2302.12022.
    """

    init_distance: hyper.Hyper = hyper.hyper(1e-6, allowed=hyper.POSITIVE)
    eps: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    axis_name: Any = hyper.option(None)

    def slots(self) -> dict[str, Slot]:
        scalars = ("distance", "sum_of_square_norms")
        return {"start": Slot(start=copied)} | {n: Slot(shared=True) for n in scalars}

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        away = leaf.param - slots["start"]
        return {
            "away": jnp.sum(away * away),
            "began": jnp.sum(slots["start"] ** 2),
            "square": jnp.sum(update * update),
        }

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        like = known["distance"]
        away, began, square = (
            _reduced(totals, n, like, self.axis_name)
            for n in ("away", "began", "square")
        )
        least = self.init_distance * (1 + safe_sqrt(began))
        distance = jnp.maximum(jnp.maximum(known["distance"], least), safe_sqrt(away))
        norms = known["sum_of_square_norms"] + square
        rate = _over(distance, safe_sqrt(norms + self.eps))
        return {"distance": distance, "sum_of_square_norms": norms, "rate": rate}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.where(update == 0, 0, leaf.shared["rate"] * update), slots


class DistanceOverWeightedGradients(_RateFree):
    """DoWG: `u = g r̄² / (sqrt(Σ r̄² ‖g‖²) + ε)`.

    Args:
        init_estim_sq_dist: r̄² before the first step.
        eps: ε ≥ 0, added to the root.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start`, 4 bytes per parameter, and two scalars.

    Reference: Khaled, Mishchenko & Jin, "DoWG unleashed", NeurIPS 2023, Algorithm 1,
    arXiv:2305.16284.
    """

    init_estim_sq_dist: hyper.Hyper = hyper.hyper(1e-4, allowed=hyper.POSITIVE)
    eps: hyper.Hyper = hyper.hyper(1e-4, allowed=hyper.NON_NEGATIVE)
    axis_name: Any = hyper.option(None)

    def slots(self) -> dict[str, Slot]:
        scalars = ("square_distance", "weighted_sum")
        return {"start": Slot(start=copied)} | {n: Slot(shared=True) for n in scalars}

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        away = leaf.param - slots["start"]
        return {"away": jnp.sum(away * away), "square": jnp.sum(update * update)}

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        like = known["weighted_sum"]
        away = _reduced(totals, "away", like, self.axis_name)
        square = _reduced(totals, "square", like, self.axis_name)
        least = jnp.maximum(known["square_distance"], self.init_estim_sq_dist)
        distance = jnp.maximum(least, away)
        weighted = known["weighted_sum"] + distance * square
        rate = _over(distance, safe_sqrt(weighted) + self.eps)
        return {"square_distance": distance, "weighted_sum": weighted, "rate": rate}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.where(update == 0, 0, leaf.shared["rate"] * update), slots


class Prodigy(_RateFree):
    """Prodigy's Adam: moments of d g, and an estimate d of the distance to go.

        m ← β₁ m + (1 - β₁) d g,    v ← β₂ v + (1 - β₂) d² g²
        r ← β₃ r + d (d η) ⟨g, θ_0 - θ⟩,    s ← β₃ s + d (d η) g
        d ← max(d, c r / ‖s‖₁);    u = d η m / (sqrt(v) + d ε)

    where η is the rate with Adam's correction, sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ), the d of the
    rate is the one before and that of ε the one after.

    Args:
        learning_rate: the schedule of the rate, 1 without one; part of η.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        b3: β₃ in [0, 1), of r and s; None for sqrt(β₂).
        eps: ε ≥ 0.
        estim_lr0: d before the first step.
        estim_lr_coef: c.
        weight_decay: λ ≥ 0, decoupled, by the same rate as the step.
        safeguard_warmup: leave η out of s.
        bias_correction: whether η carries Adam's correction.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu`, `nu`, `s`, `start`, 16 bytes per parameter, and two scalars.

    Reference: Mishchenko & Defazio, "Prodigy: an expeditiously adaptive
    parameter-free learner", ICML 2024, Algorithm 4, arXiv:2306.06101, as in the
    authors' code.
    """

    learning_rate: hyper.Hyper = hyper.hyper(1.0, allowed=hyper.NON_NEGATIVE)
    b1: hyper.Hyper = hyper.hyper(0.9, allowed=hyper.FRACTION)
    b2: hyper.Hyper = hyper.hyper(0.999, allowed=hyper.FRACTION)
    b3: hyper.Hyper = hyper.hyper(None, allowed=hyper.FRACTION, or_part=type(None))
    eps: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    estim_lr0: hyper.Hyper = hyper.hyper(1e-6, allowed=hyper.POSITIVE)
    estim_lr_coef: hyper.Hyper = hyper.hyper(1.0, allowed=hyper.POSITIVE)
    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    safeguard_warmup: bool = hyper.option(False)
    bias_correction: bool = hyper.option(True)
    axis_name: Any = hyper.option(None)

    def slots(self) -> dict[str, Slot]:
        leaves = {n: Slot(signed=n != "nu") for n in ("mu", "nu", "s")}
        scalars = {n: Slot(shared=True) for n in ("r", "b1_weight", "b2_weight")}
        distance = {"d": Slot(start=self.estim_lr0, shared=True)}
        return leaves | scalars | distance | {"start": Slot(start=copied)}

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return _corrected_rate(self, kept, count)

    def _s(self, update: Array, slots: Slots, leaf: Leaf) -> Array:
        d = leaf.shared["d_before"]
        weight = d * (d if self.safeguard_warmup else leaf.shared["rate"])
        return self._b3() * slots["s"] + weight * update

    def _b3(self) -> Any:
        return self.b2**0.5 if self.b3 is None else self.b3

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        progress = jnp.sum(update * (slots["start"] - leaf.param))
        return {
            "progress": progress,
            "size": jnp.abs(self._s(update, slots, leaf)).sum(),
        }

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        d, rate = known["d"], known["rate"]
        progress = _reduced(totals, "progress", d, self.axis_name)
        size = _reduced(totals, "size", d, self.axis_name)
        r = self._b3() * known["r"] + d * rate * progress
        found = self.estim_lr_coef * safe_divide(r, size)
        return {"r": r, "d": jnp.where(size > 0, jnp.maximum(d, found), d)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        g = leaf.shared["d_before"] * update
        m, v = lerp(slots["mu"], g, self.b1), lerp(slots["nu"], g * g, self.b2)
        u = safe_divide(m, safe_sqrt(v) + leaf.shared["d"] * self.eps)
        if not hyper.is_zero(self.weight_decay):
            u = u + self.weight_decay * leaf.param
        s = self._s(update, slots, leaf)
        return leaf.shared["rate"] * u, slots | {"mu": m, "nu": v, "s": s}


class DAdaptAdam(_RateFree):
    """D-Adapted Adam: an estimate d of the distance to go, inside Adam's average.

        rate = d η,    r ← β r + (1 - β) rate ⟨g, s / (sqrt(v) + ε)⟩ with the v before
        m ← β₁ m + (1 - β₁) rate g,    v ← β₂ v + (1 - β₂) g²
        s ← β s + (1 - β) rate g,      β = sqrt(β₂)
        d ← max(d, r / ((1 - β) ‖s‖₁));    u = m / (sqrt(v) + ε)

    where η is the rate with Adam's correction, sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ).

    Args:
        learning_rate: the schedule of the rate, 1 without one; part of η.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε ≥ 0.
        estim_lr0: d before the first step.
        weight_decay: λ ≥ 0, decoupled, by the rate d η of the step.
        bias_correction: whether η carries Adam's correction.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `mu`, `nu`, `s`, 12 bytes per parameter, and four scalars.

    Reference: Defazio & Mishchenko, "Learning-rate-free learning by D-Adaptation",
    ICML 2023, arXiv:2301.07733, as in the authors' code.
    """

    learning_rate: hyper.Hyper = hyper.hyper(1.0, allowed=hyper.NON_NEGATIVE)
    b1: hyper.Hyper = hyper.hyper(0.9, allowed=hyper.FRACTION)
    b2: hyper.Hyper = hyper.hyper(0.999, allowed=hyper.FRACTION)
    eps: hyper.Hyper = hyper.hyper(1e-8, allowed=hyper.NON_NEGATIVE)
    estim_lr0: hyper.Hyper = hyper.hyper(1e-6, allowed=hyper.POSITIVE)
    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    bias_correction: bool = hyper.option(True)
    axis_name: Any = hyper.option(None)

    def reads_param(self) -> bool:
        return not hyper.is_zero(self.weight_decay)

    def slots(self) -> dict[str, Slot]:
        leaves = {n: Slot(signed=n != "nu") for n in ("mu", "nu", "s")}
        scalars = {n: Slot(shared=True) for n in ("r", "b1_weight", "b2_weight")}
        return leaves | scalars | {"d": Slot(start=self.estim_lr0, shared=True)}

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return _corrected_rate(self, kept, count)

    def _s(self, update: Array, slots: Slots, leaf: Leaf) -> Array:
        root = self.b2**0.5
        return root * slots["s"] + (1 - root) * leaf.shared["rate"] * update

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        root = safe_sqrt(slots["nu"]) + self.eps
        product = jnp.sum(update * safe_divide(slots["s"], root))
        size = jnp.sum(jnp.abs(self._s(update, slots, leaf)))
        return {"product": product, "size": size}

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        d, root = known["d"], self.b2**0.5
        product = _reduced(totals, "product", d, self.axis_name)
        size = _reduced(totals, "size", d, self.axis_name)
        r = root * known["r"] + (1 - root) * known["rate"] * product
        return {"r": r, "d": jnp.maximum(d, safe_divide(r, (1 - root) * size))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        rate = leaf.shared["rate"]
        m = lerp(slots["mu"], rate * update, self.b1)
        v = lerp(slots["nu"], update * update, self.b2)
        s = self._s(update, slots, leaf)
        u = safe_divide(m, safe_sqrt(v) + self.eps)
        if not hyper.is_zero(self.weight_decay):
            u = u + self.weight_decay * rate * leaf.param
        return u, slots | {"mu": m, "nu": v, "s": s}


def _corrected_rate(
    rule: Any, kept: dict[str, Array], count: Array
) -> dict[str, Array]:
    """`d η sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ)`, and the weights it is made of."""
    weights = {
        name: gathered_weight(b, kept[name], count)
        for name, b in (("b1_weight", rule.b1), ("b2_weight", rule.b2))
    }
    rate = kept["d"] * rule.learning_rate
    if rule.bias_correction:
        rate = rate * jnp.sqrt(weights["b2_weight"]) / weights["b1_weight"]
    return weights | {"rate": rate, "d_before": kept["d"]}
