"""DoG: SGD whose rate is the distance moved over the norm of all gradients."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

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
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots, copied
from ..numerics.arithmetic import safe_sqrt
from ..numerics.norms import total_of
from ..parts.learning_rate import LearningRate
from ..parts.weight_decay import decoupled


def _over(distance: Array, root: Array) -> Array:
    """Return distance / root as the rate; 0 while all gradients were 0."""
    seen = root > 0
    return jnp.where(seen, distance / jnp.where(seen, root, 1), 0)


class DogDirection(Rule):
    """Multiply the gradient by DoG's rate, r̄ / sqrt(Σ ‖g‖² + ε).

    r̄ is the largest distance from the initial parameters so far.

    Args:
        init_distance: r̄ before the first step, in units of 1 + ‖θ_0‖.
        eps: ε ≥ 0, added to the sum once.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start`, 4 bytes per parameter, and two scalars.

    Reference: Ivgi, Hinder & Carmon, "DoG is SGD's best friend", ICML 2023,
    arXiv:2302.12022.
    """

    scope = "tree"

    init_distance: Hyper = hyper(1e-6, allowed=POSITIVE)
    eps: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        scalars = ("distance", "sum_of_square_norms")
        return {"start": Slot(init=copied)} | {n: Slot(shared=True) for n in scalars}

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        away = ctx.param - slots["start"]
        return {
            "away": jnp.sum(away * away),
            "began": jnp.sum(slots["start"] ** 2),
            "square": jnp.sum(update * update),
        }

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        like = known["distance"]
        away, began, square = (
            total_of(totals, n, like) for n in ("away", "began", "square")
        )
        least = self.init_distance * (1 + safe_sqrt(began))
        distance = jnp.maximum(jnp.maximum(known["distance"], least), safe_sqrt(away))
        norms = known["sum_of_square_norms"] + square
        rate = _over(distance, safe_sqrt(norms + self.eps))
        return {"distance": distance, "sum_of_square_norms": norms, "rate": rate}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.where(update == 0, 0, ctx.shared["rate"] * update), slots


@checked_keywords
def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_distance: ScalarOrSchedule = 1e-6,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: Any = None,
    *,
    axis_name: Any = None,
) -> Chain:
    """DoG: SGD whose rate is the distance moved over the norm of all gradients.

        r̄ = max over the steps of ‖θ - θ_0‖,  at least ρ (1 + ‖θ_0‖)
        θ ← θ - c g r̄ / sqrt(ε + Σ ‖g‖²)

    Args:
        learning_rate: c, 1 in the paper.
        init_distance: ρ, in units of 1 + ‖θ_0‖; Optax's `init_step=("heuristic", ρ)`.
        eps: ε ≥ 0.
        weight_decay: λ ≥ 0, coupled: g + λ θ; None or the number 0 adds no part.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start` (θ_0); 4 bytes per parameter, and two scalars, from 0.

    Departs from the paper: ε and the decay, as the authors' code. The paper evaluates
    an average of the parameters: `param_ema(dog())`.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Ivgi, Hinder & Carmon, "DoG is SGD's best friend: a parameter-free
    dynamic step size schedule", ICML 2023, arXiv:2302.12022.
    """
    decay = decoupled(weight_decay, mask)
    direction = DogDirection(init_distance, eps, axis_name=axis_name)
    return chain(*decay, direction, LearningRate(learning_rate))
