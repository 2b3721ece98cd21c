"""Denominators: square roots of second moments, with ε in one of several places.

A denominator is a rule that returns a positive array; `Precondition` divides by it. ε
is a number (added to the root) or one of the kinds below: published algorithms that
differ only in this place differ by up to a factor 31 at the first step.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import (
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    check_fields,
    hyper,
    is_zero,
    option,
)
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..engine.value import Value
from ..numerics.arithmetic import safe_divide, safe_sqrt

_EPS = NON_NEGATIVE.but("It keeps the division finite; 1e-8 is usual.")


class Eps(Value):
    """Base class of eps kinds: `denominator(v, weight)` of a second moment v.

    `weight` is the bias correction by which v was divided (1 for none).
    """

    def __post_init__(self) -> None:
        check_fields(self)

    def denominator(self, v: Float[Array, "..."], weight: Any) -> Float[Array, "..."]:
        raise NotImplementedError


class EpsOutsideRoot(Eps):
    """Add ε to the root, `sqrt(v) + ε`: Adam's Algorithm 1, torch, Optax."""

    eps: Hyper = hyper(1e-8, allowed=_EPS)

    def denominator(self, v: Float[Array, "..."], weight: Any) -> Float[Array, "..."]:
        return safe_sqrt(v) + self.eps


class EpsBeforeCorrection(Eps):
    """Add ε before bias correction: `(sqrt(v_raw) + ε) / sqrt(weight)`.

    The efficient form at the end of section 2 of the Adam paper; TensorFlow, Keras,
    torch's SparseAdam and RAdam. At b2 = .999 its ε is 31 times larger at step one.
    """

    eps: Hyper = hyper(1e-8, allowed=_EPS)

    def denominator(self, v: Float[Array, "..."], weight: Any) -> Float[Array, "..."]:
        return safe_sqrt(v) + self.eps / weight**0.5


def before_correction(eps: ScalarOrSchedule | Eps) -> Eps:
    """Add a number to the uncorrected root, as many authors' codes do."""
    return eps if isinstance(eps, Eps) else EpsBeforeCorrection(eps)


class EpsInsideRoot(Eps):
    """Add ε inside the root (TensorFlow, Optax) or in both: `sqrt(v + ε_root) + ε`."""

    eps_root: Hyper = hyper(1e-8, allowed=_EPS)
    eps: Hyper = hyper(0.0, allowed=_EPS)

    def denominator(self, v: Float[Array, "..."], weight: Any) -> Float[Array, "..."]:
        root = safe_sqrt(v + self.eps_root)
        return root if is_zero(self.eps) else root + self.eps


class EpsAsFloor(Eps):
    """Use ε as a lower bound, `max(sqrt(v), ε)`: no effect where v is large (ADOPT)."""

    eps: Hyper = hyper(1e-8, allowed=_EPS)

    def denominator(self, v: Float[Array, "..."], weight: Any) -> Float[Array, "..."]:
        return jnp.maximum(safe_sqrt(v), self.eps)


class RootPlusEps(Rule):
    """Compute `sqrt(v) + ε` from a second moment v.

    Args:
        moment: the rule that gives v, such as `Debiased(Ema(0.999, square, "nu"))`.
        eps: ε ≥ 0, in units of the gradient, added to the root; or a kind:
            `EpsOutsideRoot`, `EpsBeforeCorrection`, `EpsInsideRoot`, `EpsAsFloor`.
        inside: add a number `eps` inside the root instead, `sqrt(v + ε)`.
        public: the public name of a number `eps`, if it is not "eps".
    """

    moment: Part = part()
    eps: Hyper | Eps = hyper(
        1e-8, allowed=_EPS, or_part=Eps, public=lambda self: self.public or "eps"
    )
    inside: bool = option(False)
    public: str | None = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        v, slots = self.moment.apply(update, slots, ctx)
        weight = ctx.shared.get(f"{getattr(self.moment, 'name', '')}_weight", 1.0)
        place = EpsInsideRoot if self.inside else EpsOutsideRoot
        eps = self.eps if isinstance(self.eps, Eps) else place(self.eps)
        return eps.denominator(v, weight), slots


class Precondition(Rule):
    """Divide a moment by a denominator, `moment(g) / by(g)`; 0 / 0 is 0.

    Both are given the same gradient; the moment is updated first.

    Args:
        moment: the numerator, such as `Debiased(Ema(0.9))` or `Identity()`.
        by: the denominator, such as `RootPlusEps(Debiased(Ema(0.999, square, "nu")))`.
    """

    moment: Part = part()
    by: Part = part(kw_only=True)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, ctx)
        d, slots = self.by.apply(update, slots, ctx)
        return safe_divide(m, d), slots
