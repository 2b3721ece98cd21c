"""Rprop: a step size for each element, adapted by the sign of its gradient."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    POSITIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slot, Slots
from ..parts.learning_rate import LearningRate
from ..parts.moments import Identity


class RpropDirection(Rule):
    """Multiply the gradient's sign by a step size that each element adapts (Rprop).

    Args:
        eta_minus: η₋ in (0, 1), the factor of the step size where the sign changed.
        eta_plus: η₊ > 1, the factor where the sign stayed the same.
        min_step_size: the least step.
        max_step_size: the largest step.
        pause: do not step where the sign changed, and do not change the step size at
            the next step (iRprop-); otherwise the smaller step is taken (Rprop-).
        backtrack: undo the last step where the sign changed (Rprop+); requires
            `pause`.
        rate: a `LearningRate`, the unit of the step sizes.
    """

    eta_minus: Hyper = hyper(0.5, allowed=POSITIVE)
    eta_plus: Hyper = hyper(1.2, allowed=POSITIVE)
    min_step_size: Hyper = hyper(1e-6, allowed=NON_NEGATIVE)
    max_step_size: Hyper = hyper(50.0, allowed=POSITIVE)
    pause: bool = option(True)
    backtrack: bool = option(False)
    rate: Part = part(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backtrack and not self.pause:
            raise errors.AdamxError(
                f"rprop: `backtrack` must go with `pause`, got pause={self.pause!r}. A "
                f"step that was undone is not repeated with a smaller size."
            )

    def slots(self) -> dict[str, Slot]:
        own = {
            "step_size": Slot(init=1.0, signed=False),
            "gradient_before": Slot(),
        }
        taken = {"step_before": Slot()} if self.backtrack else {}
        return own | taken | super().slots()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g, size = update, slots["step_size"]
        turned = jnp.sign(g) * jnp.sign(slots["gradient_before"])
        unit = jnp.asarray(getattr(self.rate, "learning_rate", 1.0), g.dtype)
        known = unit > 0  # at a rate of 0 the bounds have no meaning
        unit = jnp.where(known, unit, 1)
        least = jnp.where(known, self.min_step_size / unit, 0)
        most = jnp.where(known, self.max_step_size / unit, jnp.inf)
        grown = jnp.minimum(size * self.eta_plus, most)
        shrunk = jnp.maximum(size * self.eta_minus, least)
        size = jnp.where(turned > 0, grown, jnp.where(turned < 0, shrunk, size))
        if self.pause:
            g = jnp.where(turned < 0, 0, g)
        u = jnp.sign(g) * size
        slots = slots | {"step_size": size, "gradient_before": g}
        if self.backtrack:  # in units of the parameter, even if the rate has changed
            u = jnp.where(turned < 0, -slots["step_before"] / unit, u)
            slots = slots | {"step_before": u * unit}
        return self.rate.apply(u, slots, ctx)


@checked_keywords
def scale_by_rprop(
    *,
    eta_minus: ScalarOrSchedule = 0.5,
    eta_plus: ScalarOrSchedule = 1.2,
    min_step_size: ScalarOrSchedule = 1e-6,
    max_step_size: ScalarOrSchedule = 50.0,
    pause: bool = True,
    backtrack: bool = False,
) -> Rule:
    """Scale gradients as Rprop does, in units of its first step, without the sign.

    Args:
        eta_minus: η₋ in (0, 1), the factor of the step size where the sign changed.
        eta_plus: η₊ > 1, the factor where the sign stayed the same.
        min_step_size: the least step, in units of the first.
        max_step_size: the largest step, in units of the first.
        pause: see `rprop`.
        backtrack: see `rprop`.

    State: `step_size` (from 1), `gradient_before`; 8 bytes per parameter.

    Reference: Igel & Hüsken, "Improving the Rprop learning algorithm", NC 2000.
    """
    return RpropDirection(
        eta_minus,
        eta_plus,
        min_step_size,
        max_step_size,
        pause=pause,
        backtrack=backtrack,
        rate=Identity(),
    )


@checked_keywords
def rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: ScalarOrSchedule = 0.5,
    eta_plus: ScalarOrSchedule = 1.2,
    min_step_size: ScalarOrSchedule = 1e-6,
    max_step_size: ScalarOrSchedule = 50.0,
    *,
    pause: bool = True,
    backtrack: bool = False,
) -> Chain:
    """Rprop: adapt each element's step size to sign changes of a full-batch gradient.

        g g' > 0:  Δ ← min(η₊ Δ, Δ_max)
        g g' < 0:  Δ ← max(η₋ Δ, Δ_min),  g ← 0
        θ ← θ - sign(g) Δ,    g' ← g

    Args:
        learning_rate: the first Δ, in units of the parameter. Δ is kept in units of it,
            so that a schedule scales all steps.
        eta_minus: η₋ in (0, 1), the factor of the step size where the sign changed.
        eta_plus: η₊ > 1, the factor where the sign stayed the same.
        min_step_size: Δ_min ≥ 0, in units of the parameter.
        max_step_size: Δ_max > 0, in units of the parameter.
        pause: set g to 0 where the sign changed: iRprop-, the form of torch and Optax.
            False is Rprop-: the smaller step is taken there.
        backtrack: undo the last step where the sign changed: Rprop+, the original of
            1993. The default is iRprop-, as in torch.

    State: `step_size` (Δ over the rate, from 1), `gradient_before` (g', from 0); 8
    bytes per parameter, and the count. With `backtrack` also `step_before` (from 0), 4
    bytes more.

    Departs from the paper: nothing at a constant rate. Optax's rprop returns the step
    of the step before.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Igel & Hüsken, "Improving the Rprop learning algorithm", NC 2000; Rprop:
    Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning",
    ICNN 1993.
    """
    return chain(
        RpropDirection(
            eta_minus,
            eta_plus,
            min_step_size,
            max_step_size,
            pause=pause,
            backtrack=backtrack,
            rate=LearningRate(learning_rate),
        )
    )
