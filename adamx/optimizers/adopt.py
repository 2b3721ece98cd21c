"""ADOPT: divide each gradient by the root of the previous second moment."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide
from ..parts.clipping import Clip
from ..parts.denominators import Eps, EpsAsFloor
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, InitFromFirst, square
from ..parts.weight_decay import Decay, decoupled


class NormalizeByPrevious(Rule):
    """Divide the gradient by the root of the second moment of the previous steps.

        first step:  0
        then:        g / max(sqrt(v), ε),    and only then  v takes in g²

    Args:
        moment: the rule that keeps v, such as `InitFromFirst(Ema(0.9999, square,
            "nu"))`.
        eps: ε ≥ 0 in units of the gradient, the least denominator, or an eps kind.
    """

    moment: Part = part()
    eps: Hyper | Eps = hyper(1e-6, allowed=NON_NEGATIVE, or_part=Eps)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        eps = self.eps if isinstance(self.eps, Eps) else EpsAsFloor(self.eps)
        first = ctx.count == 1
        # v is 0 at the first step: 1 keeps the branch that is not taken finite
        v = jnp.where(first, 1, slots[self.moment.name])
        normed = safe_divide(update, eps.denominator(v, 1.0))
        _, slots = self.moment.apply(update, slots, ctx)
        return jnp.where(first, 0, normed), slots


def adopt_clip_value(steps: Any) -> Any:
    """Return `t ** 0.25`, ADOPT's clipping bound after t steps (authors' default)."""
    return jnp.asarray(steps, float) ** 0.25


class SkipFirstStep(Rule):
    """Apply `part` from the second step on.

    Args:
        part: a rule without state.
    """

    part: Part = part()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        changed, slots = self.part.apply(update, slots, ctx)
        return jnp.where(ctx.count == 1, update, changed), slots


@checked_keywords
def scale_by_adopt(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.9999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    use_clipping: bool = True,
    clip_value_fn: ScalarOrSchedule = adopt_clip_value,
) -> Chain:
    """Scale gradients as ADOPT does: `adopt` without decay, learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the normalised gradient.
        b2: β₂ in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, the least denominator, or an eps kind.
        use_clipping: clip the normalised gradient.
        clip_value_fn: the bound, most often a function of the steps taken.

    State: `nu`, `mu`; 8 bytes per parameter.

    Reference: Taniguchi et al., "ADOPT: modified Adam can converge with any β₂ with the
    optimal rate", NeurIPS 2024, Algorithm 2, arXiv:2411.02853.
    """
    normalised = NormalizeByPrevious(InitFromFirst(Ema(b2, square, "nu")), eps)
    clip = (Clip(clip_value_fn),) if use_clipping else ()
    return chain(normalised, *clip, Ema(b1))


@checked_keywords
def adopt(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.9999,
    eps: ScalarOrSchedule | Eps = 1e-6,
    *,
    use_clipping: bool = True,
    clip_value_fn: ScalarOrSchedule = adopt_clip_value,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
) -> Chain:
    """ADOPT: divide each gradient by the root of the previous second moment.

        first step:  v ← g², and nothing moves
        then:        m ← β₁ m + (1 - β₁) clip(g / max(sqrt(v), ε), ±t^¼)
                     θ ← θ - α (m + λ θ)
                     v ← β₂ v + (1 - β₂) g²

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the normalised gradient.
        b2: β₂ in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, the least denominator, or an eps kind.
        use_clipping: clip the normalised gradient; False for the paper's first version,
            without clipping.
        clip_value_fn: the bound, a schedule of the steps taken t (from 0).
        weight_decay: λ ≥ 0 or a decay part, from the second step on; the number 0 adds
            no part.
        mask: the leaves that decay, as in `adamw`.

    State: `nu` (v, which the first step sets to g²), `mu` (m, from 0); 8 bytes per
    parameter, and the count.

    Departs from the paper: the weight decay, decoupled as in the authors' code. In the
    first version of the paper m starts at the first normalised gradient.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Taniguchi et al., "ADOPT: modified Adam can converge with any β₂ with the
    optimal rate", NeurIPS 2024, Algorithm 2, arXiv:2411.02853.
    """
    direction = scale_by_adopt(
        b1, b2, eps, use_clipping=use_clipping, clip_value_fn=clip_value_fn
    )
    decay = map(SkipFirstStep, decoupled(weight_decay, mask))
    return chain(direction, *decay, LearningRate(learning_rate))
