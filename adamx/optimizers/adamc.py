"""AdamC: AdamW with a weight decay that is corrected for the rate's schedule."""

from typing import Any

from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, POSITIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..parts.denominators import Eps
from ..parts.weight_decay import Decay, as_decay, with_rate
from .adam import scale_by_adam


class CorrectedDecay(Rule):
    """Apply the learning rate with AdamC's decay: `u ← -γ (u + (γ / γ_max) λ θ)`.

    Args:
        learning_rate: γ ≥ 0.
        weight_decay: λ ≥ 0 or a decay part.
        max_learning_rate: γ_max > 0, the largest γ of the schedule.
        mask: the leaves that decay, as in `WeightDecay`.
        normalized: those of these leaves whose decay is corrected; the others have
            AdamW's, `-γ (u + λ θ)`. None for all.

    Reference: Defazio, "Why gradients rapidly increase near the end of training", 2025,
    the AdamC algorithm, arXiv:2506.02285.
    """

    place = "step"

    learning_rate: Hyper = hyper(
        allowed=NON_NEGATIVE.but("It is the length of a step.")
    )
    weight_decay: Hyper = hyper(
        allowed=NON_NEGATIVE.but("It pulls the parameters towards zero.")
    )
    max_learning_rate: Hyper = hyper(
        allowed=POSITIVE.but("It is the largest rate of the schedule.")
    )
    mask: Any = None
    normalized: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mask", "normalized"):
            mask = as_mask("CorrectedDecay", getattr(self, name))
            object.__setattr__(self, name, mask)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        rate, decay = self.learning_rate, self.weight_decay
        if ctx.selects(self.normalized):
            decay = decay * (rate / self.max_learning_rate)
        if ctx.selects(self.mask):
            update = update + decay * ctx.param
        return -rate * update, slots


@checked_keywords
def scale_by_adamc(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as AdamC does before weight decay: see `scale_by_adam`.

    Reference: Defazio, "Why gradients rapidly increase near the end of training", 2025,
    the AdamC algorithm, arXiv:2506.02285.
    """
    return scale_by_adam(b1, b2, eps)


@checked_keywords
def adamc(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1e-2,
    mask: Any = None,
    max_learning_rate: ScalarOrSchedule | None = None,
    normalized: Any = None,
) -> Chain:
    """AdamC: AdamW whose decay of normalised layers is multiplied by γ / γ_max.

        u = m̂ / (sqrt(v̂) + ε)                (m̂ and v̂ as in `adam`)
        θ ← θ - γ u - (γ² / γ_max) λ θ        normalised layers
        θ ← θ - γ u - γ λ θ                   the others, as `adamw`

    Args:
        learning_rate: γ ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        max_learning_rate: γ_max > 0, the largest rate of the schedule. None for a
            constant rate, with which AdamC is AdamW.
        normalized: the leaves that a normalisation layer follows, whose decay is
            corrected, given like `mask`; None for all.

    State: `mu` (m), `nu` (v), both from zero; 8 bytes per parameter, and the count.

    Departs from the paper: nothing.

    Raises:
        ValueError: an argument out of its range, a scheduled rate without
            `max_learning_rate`, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Defazio, "Why gradients rapidly increase near the end of training", 2025,
    the AdamC algorithm, arXiv:2506.02285.
    """
    direction = scale_by_adamc(b1, b2, eps)
    if max_learning_rate is not None:
        rate = CorrectedDecay(
            learning_rate, weight_decay, max_learning_rate, mask, normalized
        )
        return chain(direction, rate)
    if callable(learning_rate):
        raise errors.AdamxError(
            "adamc: a scheduled learning rate must come with `max_learning_rate`, got "
            "None. It is the largest rate of the schedule, by which the decay is "
            "scaled; pass for example the peak value."
        )
    decay = as_decay(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, decay))
