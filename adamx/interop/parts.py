"""Parts of adamx in the forms of Optax that several calls use."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float

from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..optimizers.adam import adam_denominator
from ..parts.bias_correction import Debiased
from ..parts.denominators import EpsInsideRoot, Precondition, RootPlusEps
from ..parts.factored import FactoredSecondMoment, PowerDecaySchedule
from ..parts.learning_rate import LearningRate
from ..parts.masked import Masked
from ..parts.moments import Centered, Ema, Identity, Momentum, square
from ..parts.nesterov import Nesterov
from ..parts.weight_decay import WeightDecay
from .builders import Unbuilt


class UphillRate(LearningRate):
    """Multiply by the learning rate; the sign is turned by a later link."""

    place = "direction"
    equations = "{learning_rate} {u}"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return self.learning_rate * update, slots


def adam(b1: Any, b2: Any, eps: Any, eps_root: Any, nesterov: bool = False) -> Rule:
    """Return m̂ / (sqrt(v̂ + eps_root) + eps), m̂ one step ahead with Nesterov."""
    return Precondition(average(b1, nesterov), by=adam_root(b2, eps, eps_root))


def adam_root(b2: Any, eps: Any, eps_root: Any) -> Rule:
    """Return sqrt(v̂ + eps_root) + eps."""
    return adam_denominator(b2, EpsInsideRoot(eps_root, eps))


def average(b1: Any, nesterov: bool) -> Rule:
    """Return the corrected mean of the gradient."""
    moment = Debiased(Ema(b1))
    return Nesterov(moment) if nesterov else moment


def rate(learning_rate: Any) -> Rule:
    """Return the link of a learning rate; None is none."""
    return Identity() if learning_rate is None else LearningRate(learning_rate)


def on(mask: Any, part: Rule) -> Rule:
    """Return a part for the leaves that a mask of Optax selects; True is all."""
    if mask is None or mask is True:
        return part
    return Identity() if mask is False else Masked(part, mask)


def decay(weight_decay: Any, mask: Any = None) -> Rule:
    """Return the link of `optax.add_decayed_weights`."""
    return on(mask, WeightDecay(weight_decay))


def ball(momentum: Any, nesterov: bool) -> Rule:
    """Return the link of `optax.trace`, or of no momentum."""
    return Identity() if momentum is None else Momentum(momentum, nesterov)


def root_mean_square(
    decay: Any, eps: Any, eps_in_sqrt: bool, bias_correction: bool, centered: bool
) -> Rule:
    """Return g / (sqrt(v) + eps) or g / sqrt(v + eps), v corrected, centered or not."""
    moments = [Ema(decay, square, "nu", public="decay"), Ema(decay, public="decay")]
    v, m = map(Debiased, moments) if bias_correction else moments
    moment = Centered(v, m) if centered else v
    by = RootPlusEps(moment, EpsInsideRoot(eps) if eps_in_sqrt else eps)
    return Precondition(Identity(), by=by)


def factored(
    is_factored: bool, decay_rate: Any, offset: Any, min_dim_size: Any, eps: Any
) -> Rule:
    """Return g / sqrt(v), v factored for large matrices (Adafactor)."""
    if not (isinstance(offset, int) and offset == 0):
        raise Unbuilt("adafactor: adamx counts the steps of the decay from 1 only.")
    if isinstance(min_dim_size, bool) or not isinstance(min_dim_size, int):
        raise Unbuilt("adafactor: adamx needs `min_dim_size_to_factor` as a number.")
    largest = np.iinfo(np.int32).max  # no axis is longer
    least = min(min_dim_size, largest) if is_factored else largest
    second = FactoredSecondMoment(
        PowerDecaySchedule(decay_rate), eps=eps, min_dim_size_to_factor=int(least)
    )
    return Precondition(Identity(), by=RootPlusEps(second, 0.0, public="eps_root"))
