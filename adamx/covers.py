"""SM3's second moment: the least of the maxima of the slices an entry lies in."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.rule import Rule
from .engine.state import Leaf, Slot, Slots


class Cover(Rule):
    """`ν = min_r μ(r) + g²`, then `μ(r) = max ν over r`, r the slices across each axis.

    The slot holds the maxima of all axes one after another: n + m numbers for an
    (n, m) matrix; a vector keeps its sum of squares.

    Args:
        name: the slot that holds μ.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """

    name: str = hyper.option("cover")
    axis_name: Any = hyper.option(None)

    def reach(self) -> str:
        return "per tensor"

    def slots(self) -> dict[str, Slot]:
        def like(p: Any) -> Any:
            p = jnp.atleast_1d(p)
            return jnp.concatenate([_over_others(p, i, jnp.sum) for i in range(p.ndim)])

        return {self.name: Slot(like=like, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        g = jnp.atleast_1d(update)
        least, start = jnp.full(g.shape, jnp.inf, g.dtype), 0
        for axis, length in enumerate(g.shape):
            mu = slots[self.name][start : start + length]
            shape = [length if i == axis else 1 for i in range(g.ndim)]
            least, start = jnp.minimum(least, mu.reshape(shape)), start + length
        nu = least + g * g
        maxima = []
        for axis in range(g.ndim):
            mu = _over_others(nu, axis, jnp.max)
            if axis > 0 and self.axis_name is not None:
                mu = jax.lax.pmax(mu, self.axis_name)
            maxima.append(mu)
        new = {self.name: jnp.concatenate(maxima)}
        return nu.reshape(update.shape), slots | new


def _over_others(x: Any, axis: int, reduce: Any) -> Any:
    """`x` reduced over all axes but one."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    if not math.prod(x.shape):
        return jnp.zeros((x.shape[axis],), x.dtype)
    return reduce(x, others)
