"""Second moments that are no plain averages: AdaBelief's, Yogi's, M-SVAG's."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.hyperparams import Hyper
from .engine.rule import Part, Rule, part
from .engine.state import Leaf, Slot, Slots
from .numerics.arithmetic import lerp, one_minus_power, safe_divide
from .parts.moments import SumOf

_ROOT = hyper.NON_NEGATIVE.but("It is added to the average at every step.")


class Raised(Rule):
    """A moment that grows by ε at every step: AdaBelief's.

        s ← s' + ε,    s' the moment of the step

    Args:
        moment: such as `Ema(0.999, Surprise("mu"), "nu")`.
        eps_root: ε ≥ 0, in units of the moment.
    """

    moment: Part = part()
    eps_root: Hyper = hyper.hyper(1e-16, allowed=_ROOT)

    @property
    def name(self) -> str:
        return self.moment.name

    @property
    def decay(self) -> Any:
        return self.moment.decay

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        s, slots = self.moment.apply(update, slots, leaf)
        s = s + self.eps_root
        return s, slots | {self.name: s}


class Additive(SumOf):
    """Yogi's second moment: it moves towards the reading by a share of the reading.

        v ← v - (1 - β) sign(v - f) f,    f the reading of the gradient

    An average moves by a share of the difference instead, so that it can fall fast.

    Args:
        of: the reading f, not negative.
        name: the slot that holds v.
        start: v before the first step, at least 0; a number or an array.
        decay: β in [0, 1).

    Reference: Zaheer et al., "Adaptive methods for nonconvex optimization", NeurIPS
    2018, Algorithm 2.
    """

    decay: Hyper = hyper.hyper(
        0.999, allowed=hyper.FRACTION.but("1 - decay is the share."), kw_only=True
    )

    @property
    def public_names(self) -> dict[str, str]:
        return {"decay": "b2", **super().public_names}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        v, f = slots[self.name], self.of(update, slots)
        v = v - (1 - self.decay) * jnp.sign(v - f) * f
        return v, slots | {self.name: v}


class VarianceAdapted(Rule):
    """M-SVAG's update: the mean, shortened by its relative variance.

        γ = m² / (m² + ρ s),    s = (v - m²) / (1 - ρ)
        u = γ m

    m and v are the corrected averages of g and g² with one decay β; ρ is the sum of the
    squares of their weights, so that ρ s estimates the variance of m.

    Args:
        beta: β in [0, 1).

    State: `mu`, `nu`, from zero. A β that is no number also keeps the scalars
    `mu_weight` (sum of the weights) and `mu_square_weight` (of their squares).
    """

    beta: Hyper = hyper.hyper(
        0.9, allowed=hyper.FRACTION.but("It is the weight of the past.")
    )

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot(), "nu": Slot(signed=False)}
        if hyper.is_constant(self.beta):
            return slots
        return slots | {
            "mu_weight": Slot(shared=True, signed=False, from_count=self._weight),
            "mu_square_weight": Slot(
                shared=True, signed=False, from_count=self._square_weight
            ),
        }

    def _beta(self, count: Array) -> Array:
        beta = self.beta(count) if callable(self.beta) else self.beta
        return jnp.asarray(beta, count.dtype)

    def _weight(self, count: Array) -> Array:
        return one_minus_power(self._beta(count), count)

    def _square_weight(self, count: Array) -> Array:
        b = self._beta(count)
        return (1 - b) / (1 + b) * one_minus_power(b, 2 * count)

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        b = self.beta
        if hyper.is_constant(b):
            w = one_minus_power(b, count)
            past = b * one_minus_power(b, count - 1)
            ratio = (1 - b) * (2 - w) / (2 * jnp.where(past > 0, past, 1))
            return {"mu_weight": w, "mu_ratio": jnp.where(past > 0, ratio, 0)}
        w = lerp(kept["mu_weight"], jnp.ones_like(count), b)
        q = b**2 * kept["mu_square_weight"] + (1 - b) ** 2
        rest = w * w - q  # what the first step has none of
        later = (count > 1) & (rest > 0)
        ratio = jnp.where(later, q / jnp.where(later, rest, 1), 0)
        return {"mu_weight": w, "mu_square_weight": q, "mu_ratio": ratio}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        g, w = update, leaf.shared["mu_weight"]
        mu = lerp(slots["mu"], g, self.beta)
        nu = lerp(slots["nu"], g * g, self.beta)
        m = mu / w
        variance = leaf.shared["mu_ratio"] * jnp.maximum(nu / w - m * m, 0)  # ρ s
        u = m * safe_divide(m * m, m * m + variance)
        return u, slots | {"mu": mu, "nu": nu}
