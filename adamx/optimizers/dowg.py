"""DoWG: DoG with gradient norms weighted by the distance moved."""

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
from .dog import _over


class DowgDirection(Rule):
    """Multiply the gradient by DoWG's rate, r̄² / (sqrt(Σ r̄² ‖g‖²) + ε).

    Args:
        init_estim_sq_dist: r̄² before the first step.
        eps: ε ≥ 0, added to the root.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start`, 4 bytes per parameter, and two scalars.

    Reference: Khaled, Mishchenko & Jin, "DoWG unleashed", NeurIPS 2023, Algorithm 1,
    arXiv:2305.16284.
    """

    scope = "tree"

    init_estim_sq_dist: Hyper = hyper(1e-4, allowed=POSITIVE)
    eps: Hyper = hyper(1e-4, allowed=NON_NEGATIVE)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        scalars = ("square_distance", "weighted_sum")
        return {"start": Slot(init=copied)} | {n: Slot(shared=True) for n in scalars}

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        away = ctx.param - slots["start"]
        return {"away": jnp.sum(away * away), "square": jnp.sum(update * update)}

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        like = known["weighted_sum"]
        away = total_of(totals, "away", like)
        square = total_of(totals, "square", like)
        least = jnp.maximum(known["square_distance"], self.init_estim_sq_dist)
        distance = jnp.maximum(least, away)
        weighted = known["weighted_sum"] + distance * square
        rate = _over(distance, safe_sqrt(weighted) + self.eps)
        return {"square_distance": distance, "weighted_sum": weighted, "rate": rate}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.where(update == 0, 0, ctx.shared["rate"] * update), slots


@checked_keywords
def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule = 1e-4,
    weight_decay: ScalarOrSchedule | None = None,
    mask: Any = None,
    *,
    axis_name: Any = None,
) -> Chain:
    """DoWG: DoG that weights each squared gradient norm by the squared distance moved.

        r̄² = max(r̄², ‖θ - θ_0‖²),    s ← s + r̄² ‖g‖²
        θ ← θ - c g r̄² / (sqrt(s) + ε)

    Args:
        learning_rate: c, 1 in the paper.
        init_estim_sq_dist: r̄² before the first step, above 0; None for ε, as in Optax.
        eps: ε ≥ 0, added to the root.
        weight_decay: λ ≥ 0, coupled: g + λ θ; None or the number 0 adds no part.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the axes over which the leaves are split.

    State: `start` (θ_0); 4 bytes per parameter, and two scalars, from 0.

    Departs from the paper: ε = 1e-4 and r̄² = 1e-4 at first, as Optax and the authors'
    code; the paper has no ε.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Khaled, Mishchenko & Jin, "DoWG unleashed: an efficient universal
    parameter-free gradient descent method", NeurIPS 2023, Algorithm 1,
    arXiv:2305.16284.
    """
    decay = decoupled(weight_decay, mask)
    start = eps if init_estim_sq_dist is None else init_estim_sq_dist
    direction = DowgDirection(start, eps, axis_name=axis_name)
    return chain(*decay, direction, LearningRate(learning_rate))
