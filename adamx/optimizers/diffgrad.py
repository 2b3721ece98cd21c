"""diffGrad: Adam that takes smaller steps where the gradient changes little."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, merge_slots, part
from ..engine.state import Context, Slot, Slots
from ..parts.denominators import Eps
from ..parts.learning_rate import LearningRate
from .adam import scale_by_adam


class DiffGradFriction(Rule):
    """Multiply a direction by ξ, smaller where the gradient changes little (diffGrad).

        ξ = 1 / (1 + exp(-|g_before - g|)),    between 1/2 and 1

    Args:
        direction: the rule that gives u.
        name: the slot that holds the previous gradient, from zero.
    """

    direction: Part = part()
    name: str = option("gradient_before")

    def slots(self) -> dict[str, Slot]:
        return merge_slots(self) | {self.name: Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g = update
        xi = jax.nn.sigmoid(jnp.abs(slots[self.name] - g))
        u, slots = self.direction.apply(g, slots, ctx)
        return xi * u, slots | {self.name: g}


@checked_keywords
def scale_by_diffgrad(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Rule:
    """Scale gradients as diffGrad does: `diffgrad` without learning rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.

    State: `mu`, `nu`, `gradient_before`; 12 bytes per parameter.

    Reference: Dubey et al., "diffGrad: an optimization method for convolutional neural
    networks", IEEE TNNLS 2020, arXiv:1909.11015.
    """
    return DiffGradFriction(scale_by_adam(b1, b2, eps))


@checked_keywords
def diffgrad(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
) -> Chain:
    """diffGrad: Adam that takes smaller steps where the gradient changes little.

        ξ = 1 / (1 + exp(-|g_before - g|))
        θ ← θ - α ξ m̂ / (sqrt(v̂) + ε)            (m̂ and v̂ as in `adam`)

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind. ξ compares the change
            of the gradient with 1, so the method is not invariant to its scale.

    State: `mu` (m), `nu` (v), `gradient_before`, all from zero; 12 bytes per parameter,
    and the count.

    Departs from the paper: nothing. The authors' first code computed, by mistake, ξ of
    no change at all; both of their versions have `eps=EpsBeforeCorrection(1e-8)`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Dubey et al., "diffGrad: an optimization method for convolutional neural
    networks", IEEE TNNLS 2020, arXiv:1909.11015.
    """
    return chain(scale_by_diffgrad(b1, b2, eps), LearningRate(learning_rate))
