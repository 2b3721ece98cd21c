"""Lion: the sign of a momentum, with the current gradient weighted more."""

from typing import Any

from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import FRACTION, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.arithmetic import lerp
from ..parts.directions import Sign
from ..parts.weight_decay import Decay, as_decay, with_rate


class LionMomentum(Rule):
    """Keep a slow average, and return one with the current gradient weighted more.

        returns  β₁ m + (1 - β₁) g,    then  m ← β₂ m + (1 - β₂) g

    Args:
        b1: β₁ in [0, 1), the weight of the past in what is returned.
        b2: β₂ in [0, 1), the weight of the past in what is kept.
        name: the slot that holds m, from 0.
    """

    b1: Hyper = hyper(allowed=FRACTION)
    b2: Hyper = hyper(allowed=FRACTION)
    name: str = option("mu")

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        m = slots[self.name]
        kept = lerp(m, update, self.b2)
        return lerp(m, update, self.b1), slots | {self.name: kept}


@checked_keywords
def scale_by_lion(b1: ScalarOrSchedule = 0.9, b2: ScalarOrSchedule = 0.99) -> Chain:
    """Scale gradients as Lion does: `lion` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the weight of the past in the step.
        b2: β₂ in [0, 1), the weight of the past in the average that is kept.

    State: `mu`; 4 bytes per parameter.

    Reference: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS
    2023, Algorithm 2, arXiv:2302.06675.
    """
    return chain(LionMomentum(b1, b2), Sign())


@checked_keywords
def lion(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.99,
    *,
    weight_decay: ScalarOrSchedule | Decay = 1e-3,
    mask: Any = None,
) -> Chain:
    """Lion: step by the sign of a momentum, with the current gradient weighted more.

        θ ← θ - α (sign(β₁ m + (1 - β₁) g) + λ θ)
        m ← β₂ m + (1 - β₂) g

    Args:
        learning_rate: α ≥ 0, in units of the parameter: the size of every step. A third
            to a tenth of Adam's.
        b1: β₁ in [0, 1), the weight of the past in the step.
        b2: β₂ in [0, 1), the weight of the past in the average that is kept.
        weight_decay: λ ≥ 0 or a decay part; a step removes the share α λ of a
            parameter. Three to ten times AdamW's, as the rate is that much smaller.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m, from 0); 4 bytes per parameter, and the count.

    Departs from the paper: nothing; the sign of 0 is 0.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS
    2023, Algorithm 2, arXiv:2302.06675.
    """
    decay = as_decay(weight_decay, mask)
    return chain(scale_by_lion(b1, b2), *with_rate(learning_rate, decay))
