"""Grafting: the length of one rule's update, and the direction of another's."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import option
from ..engine.rule import Part, part
from ..engine.state import Context, Slot, Slots
from .matrix_rules import TensorRule

_PREFIX = "magnitude_"


class Graft(TensorRule):
    """Give the update of one rule the length of another's, tensor by tensor.

        u ← ‖m‖ d / ‖d‖

    m is the update of `magnitude` and d that of `direction`, for the same gradient.
    Where d is 0, so is u. Before step `start` u is m.

    Args:
        magnitude: the rule whose length is taken, such as `scale_by_adam()`.
        direction: the rule whose direction is taken, such as `scale_by_shampoo()`.
            Both with a learning rate, or both without.
        start: the first step with the direction of `direction`.
        axes: a mask with axes, as those of `Orthogonalize`: each matrix of a leaf has a
            length of its own; None for the whole tensor.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    The slots of `magnitude` have `magnitude_` before their names, so that two rules
    that both have a slot `mu` can be grafted.

    Reference: Agarwal et al., "Disentangling adaptive gradient methods from learning
    rates", 2020, Algorithm 1, arXiv:2002.11803; Anil et al., "Scalable second order
    optimization for deep learning", 2020, arXiv:2002.09018; `start`: Shi et al., 2023,
    arXiv:2309.06497.
    """

    magnitude: Part = part(kw_only=True)
    direction: Part = part(kw_only=True)
    start: int = option(1, least=1)
    axes: Any = option(None)
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        made = {n: getattr(self, n)._has_place("step") for n in _NAMES}
        if made["magnitude"] != made["direction"]:
            rated = "magnitude" if made["magnitude"] else "direction"
            raise errors.AdamxError(
                f"Graft: both parts must have a learning rate or neither, got one in "
                f"`{rated}` only. Without it their lengths cannot be compared; put "
                f"LearningRate(...) after Graft(...)."
            )

    def slots(self) -> dict[str, Slot]:
        theirs = self.magnitude.slots().items()
        return self.direction.slots() | {_PREFIX + name: slot for name, slot in theirs}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        own = self.direction.shared(_without(kept), count)
        theirs = self.magnitude.shared(_of_magnitude(kept), count)
        return own | {_PREFIX + name: value for name, value in theirs.items()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        shared = dict(ctx.shared)
        m, theirs = self.magnitude.apply(
            update, _of_magnitude(slots), ctx.replace(shared=_of_magnitude(shared))
        )
        d, own = self.direction.apply(
            update, _without(slots), ctx.replace(shared=_without(shared))
        )
        each = self._norms(update, ctx)
        length = each.of(d)
        some = length > 0
        factor = jnp.where(some, each.of(m) / jnp.where(some, length, 1), 0)
        new = own | {_PREFIX + name: value for name, value in theirs.items()}
        u = each.spread(factor, d) * d
        if self.start > 1:
            u = jnp.where(ctx.count < self.start, m, u)
        return u, slots | new


_NAMES = ("magnitude", "direction")


def _of_magnitude(named: dict[str, Any]) -> dict[str, Any]:
    """Return what belongs to `magnitude`, under the names that it knows."""
    found = {n: x for n, x in named.items() if n.startswith(_PREFIX)}
    return {n.removeprefix(_PREFIX): x for n, x in found.items()}


def _without(named: dict[str, Any]) -> dict[str, Any]:
    """Return what belongs to `direction`."""
    return {n: x for n, x in named.items() if not n.startswith(_PREFIX)}
