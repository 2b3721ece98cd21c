"""AdaBound: Adam with a rate for each element, clipped to bounds that converge."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, POSITIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, before_correction
from ..parts.learning_rate import Negate
from ..parts.moments import Ema
from .adam import adam_denominator


@checked_keywords
def scale_by_adabound(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    final_lr: ScalarOrSchedule = 0.1,
    gamma: ScalarOrSchedule = 1e-3,
    learning_rate: ScalarOrSchedule = 1.0,
) -> Rule:
    """Scale gradients as AdaBound does, learning rate included, without the sign.

    If `learning_rate` stays 1 and a `LearningRate` follows, that rate scales the bounds
    too: `final_lr` is then in units of the rate, as in the authors' code.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        final_lr: η* > 0, the rate to which both bounds converge.
        gamma: γ > 0, the speed at which the bounds converge.
        learning_rate: α ≥ 0, the numerator of the bounded rate.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """
    return DynamicBound(
        UncorrectedMoment(Debiased(Ema(b1))),
        by=adam_denominator(b2, before_correction(eps)),
        learning_rate=learning_rate,
        final_lr=final_lr,
        gamma=gamma,
    )


@checked_keywords
def adabound(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    final_lr: ScalarOrSchedule = 0.1,
    gamma: ScalarOrSchedule = 1e-3,
) -> Chain:
    """AdaBound: Adam whose per-element rates are clipped to bounds that converge to η*.

        m, v as in `adam`, not corrected
        η = α sqrt(1 - β₂ᵗ) / (1 - β₁ᵗ) / (sqrt(v) + ε)
        η ← min(max(η, η* (1 - 1 / (γ t + 1))), η* (1 + 1 / (γ t)))
        θ ← θ - η m

    Args:
        learning_rate: α ≥ 0, the rate of the first steps, of Adam's size.
        b1: β₁ in [0, 1), the decay of m.
        b2: β₂ in [0, 1), the decay of v.
        eps: ε ≥ 0 in units of the gradient, added to the uncorrected root, or an eps
            kind.
        final_lr: η* > 0, the rate of the last steps, of SGD's size. It does not follow
            a scheduled rate: give it a schedule of its own, or use `scale_by_adabound`.
        gamma: γ > 0, the speed at which the bounds converge.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: it is the authors' code, with Adam's corrections, ε, no
    1 / sqrt(t), and γ where the paper has 1 - β₂. The paper's listing is
    `chain(DynamicBound(Ema(b1), by=RootPlusEps(Ema(b2, square, "nu"), 0.0),
    learning_rate=α, gamma=1 - b2), LearningRate(lambda k: (k + 1) ** -0.5))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """
    direction = scale_by_adabound(
        b1, b2, eps, final_lr=final_lr, gamma=gamma, learning_rate=learning_rate
    )
    return chain(direction, Negate())


class UncorrectedMoment(Rule):
    """Return an average without bias correction, which the rate applies instead.

        returns m and not m / w;    the rate is α / w

    Args:
        moment: a corrected average such as `Debiased(Ema(0.9))`.
    """

    moment: Part = part()

    @property
    def name(self) -> str:
        return self.moment.name

    def rate_weight(self, ctx: Context) -> Any:
        """Return the weight by which the rate is divided."""
        return ctx.shared[f"{self.name}_weight"]

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        _, slots = self.moment.apply(update, slots, ctx)
        return slots[self.name], slots


class _ElementRate(Rule):
    """A moment and the rate α / D of each element: the base of AdaBound and AdaMod."""

    moment: Part = part()
    by: Part = part(kw_only=True)
    learning_rate: Hyper = hyper(
        1.0,
        allowed=NON_NEGATIVE.but("It is what is divided and bounded."),
        kw_only=True,
    )

    def _rate(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context, undivided: float
    ) -> tuple[Float[Array, "..."], Float[Array, "..."], Slots]:
        """Return the moment and its rate, `undivided` where the denominator is 0."""
        m, slots = self.moment.apply(update, slots, ctx)
        d, slots = self.by.apply(update, slots, ctx)
        alpha = self.learning_rate
        if isinstance(self.moment, UncorrectedMoment):
            alpha = alpha / self.moment.rate_weight(ctx)
        none = d == 0
        return m, jnp.where(none, undivided, alpha / jnp.where(none, 1, d)), slots


class DynamicBound(_ElementRate):
    """Multiply a moment by α / D, clipped to bounds that converge to η* (AdaBound).

        η_l = η* (1 - 1 / (γ t + 1)),    η_u = η* (1 + 1 / (γ t))

    Args:
        moment: m, such as `UncorrectedMoment(Debiased(Ema(0.9)))`.
        by: the denominator D.
        learning_rate: α ≥ 0.
        final_lr: η* > 0, the rate to which both bounds converge.
        gamma: γ > 0, the speed of the bounds, which are halfway after 1 / γ steps.

    Reference: Luo et al., "Adaptive gradient methods with dynamic bound of learning
    rate", ICLR 2019, Algorithm 2, arXiv:1902.09843.
    """

    final_lr: Hyper = hyper(
        0.1,
        allowed=POSITIVE.but("It is the rate that is left in the end."),
        kw_only=True,
    )
    gamma: Hyper = hyper(
        1e-3,
        allowed=POSITIVE.but("It is the speed at which the bounds converge."),
        kw_only=True,
    )

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        closed = self.gamma * count
        return super().shared(kept, count) | {
            "rate_lower": self.final_lr * closed / (closed + 1),
            "rate_upper": self.final_lr * (1 + 1 / closed),
        }

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, rate, slots = self._rate(update, slots, ctx, jnp.inf)
        known = ctx.shared
        return jnp.clip(rate, known["rate_lower"], known["rate_upper"]) * m, slots
