"""M-SVAG: momentum scaled down by the estimated variance of each element."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, Hyper, ScalarOrSchedule, hyper, is_constant
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp, one_minus_power, safe_divide
from ..parts.learning_rate import LearningRate


class MsvagDirection(Rule):
    """Scale momentum down by its estimated relative variance (M-SVAG).

        γ = m² / (m² + ρ s),    s = (v - m²) / (1 - ρ)
        u = γ m

    m and v are the corrected averages of g and g² with one decay β; ρ is the sum of the
    squares of their weights, so that ρ s estimates the variance of m.

    Args:
        beta: β in [0, 1).

    State: `mu`, `nu`, from zero. A β that is no number also keeps the scalars
    `mu_weight` (sum of the weights) and `mu_square_weight` (of their squares).
    """

    beta: Hyper = hyper(0.9, allowed=FRACTION.but("It is the weight of the past."))

    def slots(self) -> dict[str, Slot]:
        slots = {"mu": Slot(), "nu": Slot(signed=False)}
        if is_constant(self.beta):
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

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        b = self.beta
        if is_constant(b):
            w = one_minus_power(b, count)
            past = b * one_minus_power(b, count - 1)
            ratio = (1 - b) * (2 - w) / (2 * jnp.where(past > 0, past, 1))
            return {"mu_weight": w, "mu_ratio": jnp.where(past > 0, ratio, 0)}
        w = lerp(kept["mu_weight"], jnp.ones_like(count), b)
        q = b**2 * kept["mu_square_weight"] + (1 - b) ** 2
        rest = w * w - q  # 0 at the first step, which has no variance
        later = (count > 1) & (rest > 0)
        ratio = jnp.where(later, q / jnp.where(later, rest, 1), 0)
        return {"mu_weight": w, "mu_square_weight": q, "mu_ratio": ratio}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g, w = update, ctx.shared["mu_weight"]
        mu = lerp(slots["mu"], g, self.beta)
        nu = lerp(slots["nu"], g * g, self.beta)
        m = mu / w
        variance = ctx.shared["mu_ratio"] * jnp.maximum(nu / w - m * m, 0)  # ρ s
        u = m * safe_divide(m * m, m * m + variance)
        return u, slots | {"mu": mu, "nu": nu}


@checked_keywords
def scale_by_msvag(beta: ScalarOrSchedule = 0.9) -> Rule:
    """Scale gradients as M-SVAG does: `msvag` without learning rate and sign.

    Args:
        beta: β in [0, 1), the decay of both averages.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Balles & Hennig, "Dissecting Adam: the sign, magnitude and variance of
    stochastic gradients", ICML 2018, the M-SVAG algorithm, arXiv:1705.07774.
    """
    return MsvagDirection(beta)


@checked_keywords
def msvag(learning_rate: ScalarOrSchedule, beta: ScalarOrSchedule = 0.9) -> Chain:
    """M-SVAG: scale momentum down by the estimated variance of each element.

        m, v: corrected averages of g and g² with one decay β, of weights w_i
        ρ = Σ w_i²,    s = (v - m²) / (1 - ρ)
        θ ← θ - α m · m² / (m² + ρ s)

    Args:
        learning_rate: α ≥ 0, in units of parameter per gradient: nothing is
            divided by the gradient's size, so α is about as large as SGD's.
        beta: β in [0, 1), the decay of both averages.

    State: `mu`, `nu`, both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: nothing. One gradient has no variance: the first step is
    α g, as in the authors' code. Where rounding makes v - m² negative, it is set to 0.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Balles & Hennig, "Dissecting Adam: the sign, magnitude and variance of
    stochastic gradients", ICML 2018, the M-SVAG algorithm, arXiv:1705.07774.
    """
    return chain(scale_by_msvag(beta), LearningRate(learning_rate))
