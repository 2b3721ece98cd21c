"""Moments: averages, sums and maxima of a statistic of the gradient, one slot each.

A statistic is a function `statistic(g, slots) -> array` of the gradient and of the
slots of other parts: `gradient`, `square`, or the `SquaredDeviation` from a slot.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import (
    FRACTION,
    NON_NEGATIVE,
    UNIT,
    Hyper,
    hyper,
    is_zero,
    option,
)
from ..engine.rule import Part, Rule, merge_slots, part
from ..engine.state import Context, Slot, Slots
from ..engine.value import Value, is_array
from ..numerics.arithmetic import lerp


def gradient(g: Float[Array, "..."], slots: Slots) -> Float[Array, "..."]:
    """Return the gradient `g` as the statistic."""
    return g


def square(g: Float[Array, "..."], slots: Slots) -> Float[Array, "..."]:
    """Return the squared gradient `g²` as the statistic."""
    return g * g


class SquaredDeviation(Value):
    """Return `(g - m)²` as the statistic, m the current value of a slot (AdaBelief).

    The part that keeps the slot must come first: `Precondition(Ema(b1), by=...)`.
    """

    slot: str = "mu"

    def __call__(self, g: Float[Array, "..."], slots: Slots) -> Float[Array, "..."]:
        if self.slot not in slots:
            raise errors.AdamxError(
                f"SquaredDeviation: `slot` must be kept by a part of the same chain, "
                f"got {self.slot!r}. {errors.suggest(self.slot, slots)}"
            )
        return (g - slots[self.slot]) ** 2


Reading = Callable[[Any, Any], Any]


def is_signed(reading: Reading) -> bool:
    """Return whether a statistic may be negative."""
    return reading is not square and not isinstance(reading, SquaredDeviation)


def _decay_name(rule: Any) -> str:
    """Return the public name of a moment's decay."""
    standard = {"mu": "b1", "nu": "b2"}
    return rule.public or standard.get(rule.name, f"{rule.name}_decay")


class MomentRule(Rule):
    """Wrap a moment, with the slot name and the decay of that moment."""

    takes = "either"

    moment: Part = part()

    @property
    def name(self) -> str:
        return self.moment.name

    @property
    def decay(self) -> Any:
        return self.moment.decay


class Identity(Rule):
    """Return the update unchanged, without state."""

    takes = "either"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return update, slots


class Ema(Rule):
    """Keep an exponential moving average of a statistic, from zero.

        m ← β m + (1 - β) f(g)

    Args:
        decay: β in [0, 1), the weight of the past: an average over about 1 / (1 - β)
            steps.
        of: the statistic f: `gradient`, `square`, `SquaredDeviation(slot)` or a
            function `f(g, slots)`.
        name: the slot that holds m.
        public: the public name of `decay`; without it `b1` for the slot `mu`, `b2` for
            `nu`, else `<name>_decay`.

    As it starts at zero, m is too small by the factor 1 - β**t, by which `Debiased`
    divides.
    """

    takes = "either"

    decay: Hyper = hyper(
        allowed=FRACTION.but(
            "It is the weight of the past; to average over about n steps pass 1 - 1/n."
        ),
        public=_decay_name,
    )
    of: Reading = gradient
    name: str = "mu"
    public: str | None = option(None)

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(signed=is_signed(self.of))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m = lerp(slots[self.name], self.of(update, slots), self.decay)
        return m, slots | {self.name: m}


class Momentum(Rule):
    """Keep Polyak's (heavy-ball) momentum; return it, or Nesterov's form of it.

        first step:  m ← g
        then:        m ← μ m + (1 - d) g
        returns m, or with Nesterov g + μ m

    Args:
        momentum: μ in [0, 1).
        nesterov: return g + μ m.
        dampening: d in [0, 1], the share of the gradient that is left out (torch).
        name: the slot that holds m.
        public: the public name of `momentum`, if it is not "momentum".

    Raises:
        ValueError: Nesterov with a momentum of zero or with dampening.

    Reference: Polyak, "Some methods of speeding up the convergence of iteration
    methods", 1964; Sutskever et al., "On the importance of initialization and momentum
    in deep learning", ICML 2013; the form is that of torch.optim.SGD.
    """

    takes = "either"

    momentum: Hyper = hyper(
        allowed=FRACTION.but("It is the share of the last step that is kept."),
        public=lambda self: self.public or "momentum",
    )
    nesterov: bool = False
    dampening: Hyper = hyper(
        0.0,
        allowed=UNIT.but("It is the share of the gradient that is left out."),
    )
    name: str = option("momentum")
    public: str | None = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        # the value of an array is not known, as in any other check
        dampened = not (is_zero(self.dampening) or is_array(self.dampening))
        if self.nesterov and (dampened or is_zero(self.momentum)):
            raise errors.AdamxError(
                f"Momentum: Nesterov's momentum must have a momentum above 0 and no "
                f"dampening, got momentum={self.momentum!r}, "
                f"dampening={self.dampening!r}. Its look-ahead is g + momentum * m; "
                f"set momentum=0.9, dampening=0, or nesterov=False."
            )

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g = update
        m = self.momentum * slots[self.name] + (1 - self.dampening) * g
        if not is_zero(self.dampening):
            m = jnp.where(ctx.count == 1, g, m)
        u = g + self.momentum * m if self.nesterov else m
        return u, slots | {self.name: m}


class Sum(Rule):
    """Sum a statistic over all steps (AdaGrad's accumulator).

        s ← s + f(g)

    Args:
        of: the statistic f.
        name: the slot that holds s.
        start: its value before the first step, at least 0; a number or an array.
    """

    of: Reading = square
    name: str = "sum_of_squares"
    start: Hyper = hyper(
        0.0,
        allowed=NON_NEGATIVE.but("It is a sum of squares."),
        public="initial_accumulator",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if callable(self.start):
            raise errors.type_error(
                "Sum",
                "`start` must be a number or an array",
                errors.show_callable(self.start),
                "It is used once, before the first step.",
            )

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(init=self.start, signed=is_signed(self.of))}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        s = slots[self.name] + self.of(update, slots)
        return s, slots | {self.name: s}


class Centered(Rule):
    """Compute the variance `v - m²` from a mean square and a mean of the gradient.

    Args:
        square: the moment v, such as `Ema(decay, square, "nu")`.
        mean: the moment m, such as `Ema(decay)`.

    Where rounding makes v - m² negative, it is set to 0.

    Reference: Graves, "Generating sequences with recurrent neural networks", 2013,
    eq. 38-45, arXiv:1308.0850.
    """

    square: Part = part()
    mean: Part = part()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        v, slots = self.square.apply(update, slots, ctx)
        m, slots = self.mean.apply(update, slots, ctx)
        return jnp.maximum(v - m * m, 0), slots


class InitFromFirst(MomentRule):
    """Start an average at its first value instead of 0, without bias correction.

        first step:  m ← f(g)
        then:        m ← β m + (1 - β) f(g)

    Args:
        moment: an average such as `Ema(0.9)`.
    """

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m, after = self.moment.apply(update, slots, ctx)
        m = jnp.where(ctx.count == 1, self.moment.of(update, slots), m)
        return m, after | {self.name: m}


class RunningMax(MomentRule):
    """Keep the running maximum of a moment, element by element (AMSGrad).

        v_max ← max(v_max, v)

    Its place decides which values are compared: `RunningMax(Debiased(Ema(b2, square,
    "nu")))` keeps the largest corrected average (Optax's AMSGrad),
    `Debiased(RunningMax(Ema(...)))` corrects the largest uncorrected one (torch),
    `RunningMax(Ema(...))` corrects nothing (the paper).

    Args:
        moment: a moment that is not negative, such as `Ema(0.999, square, "nu")`.

    State: `<name of the moment>_max`, from zero.

    Reference: Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018,
    Algorithm 2, arXiv:1904.09237.
    """

    takes = "direction"

    def slots(self) -> dict[str, Slot]:
        return merge_slots(self) | {f"{self.name}_max": Slot(signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        v, slots = self.moment.apply(update, slots, ctx)
        v_max = jnp.maximum(slots[f"{self.name}_max"], v)
        return v_max, slots | {f"{self.name}_max": v_max}
