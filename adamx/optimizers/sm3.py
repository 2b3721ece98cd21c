"""SM3: AdaGrad with accumulators for rows and columns instead of elements."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule, is_zero, option
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.sharding import placed_like, unsharded, unsharded_by_maximum
from ..numerics.splits import along, largest_across
from ..parts.denominators import Eps, Precondition, RootPlusEps
from ..parts.learning_rate import LearningRate
from ..parts.matrix_views import MatrixView, Named, Side, of_elements
from ..parts.moments import Ema, Identity


class Sm3Accumulator(Rule):
    """Bound AdaGrad's sums by one accumulator for each slice of a tensor (SM3).

        ν_i = min over the slices r ∋ i of μ(r) + g_i²
        μ(r) = max over i in r of ν_i

    The slot holds the maxima of all axes one after another: n + m numbers for an
    (n, m) matrix; a vector keeps its sum of squares.

    Args:
        name: the slot that holds μ.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """

    scope = "tensor"

    name: str = option("cover")
    axis_name: Any = option(None)

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        shape = tuple(leaf.shape)
        if len(shape) < 2:
            return of_elements("AdaGrad", "fewer than two axes")
        sides = (Side((i,), n, self.name, (n,)) for i, n in enumerate(shape))
        return MatrixView("SM3", "a side for each axis", 1, shape, tuple(sides))

    def slots(self) -> dict[str, Slot]:
        def like(p: Any) -> Any:
            p = jnp.atleast_1d(p)
            if p.ndim == 1:
                return p
            sums = [_over_others(p, i, jnp.sum) for i in range(p.ndim)]
            return jnp.concatenate(list(map(unsharded, sums)))

        return {self.name: Slot(shape_of=like, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        g = jnp.atleast_1d(update)
        if g.ndim == 1:  # its own sum of squares, and laid out as it is
            nu = slots[self.name] + g * g
            return nu.reshape(update.shape), slots | {self.name: nu}
        least, start = jnp.full(g.shape, jnp.inf, g.dtype), 0
        cover = unsharded(slots[self.name])
        for axis, length in enumerate(g.shape):
            mu = unsharded(cover[start : start + length])
            shape = [length if i == axis else 1 for i in range(g.ndim)]
            least, start = jnp.minimum(least, mu.reshape(shape)), start + length
        nu = placed_like(least, g) + g * g
        maxima = []
        for axis in range(g.ndim):
            mu = unsharded_by_maximum(_over_others(nu, axis, jnp.max))
            others = [i for i in range(g.ndim) if i != axis]
            maxima.append(largest_across(mu, along(self.axis_name, others, g.ndim)))
        new = {self.name: jnp.concatenate(maxima)}
        return nu.reshape(update.shape), slots | new


def _over_others(x: Any, axis: int, reduce: Any) -> Any:
    """Reduce `x` over all axes but one."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    if not math.prod(x.shape):
        return jnp.zeros((x.shape[axis],), x.dtype)
    return reduce(x, others)


@checked_keywords
def scale_by_sm3(
    momentum: ScalarOrSchedule = 0.9,
    *,
    eps: ScalarOrSchedule | Eps = 1e-8,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as SM3 does: `sm3` without learning rate and sign.

    Args: as in `sm3`.

    State: `cover`, and with momentum `mu`.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """
    sums = Sm3Accumulator(axis_name=axis_name)
    direction = Precondition(Identity(), by=RootPlusEps(sums, eps, inside=True))
    average = () if is_zero(momentum) else (Ema(momentum, public="momentum"),)
    return chain(direction, *average)


@checked_keywords
def sm3(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarOrSchedule = 0.9,
    *,
    eps: ScalarOrSchedule | Eps = 1e-8,
    axis_name: Any = None,
) -> Chain:
    """SM3: AdaGrad that keeps accumulators for rows and columns, not for elements.

        ν_i = min over the slices r ∋ i of μ(r) + g_i²
        u = g / sqrt(ν + ε)
        θ ← θ - α u,    with momentum  m ← μ m + (1 - μ) u,  θ ← θ - α m
        μ(r) = max over i in r of ν_i

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        momentum: μ in [0, 1); the number 0 keeps nothing.
        eps: ε ≥ 0 in units of g², inside the root, or an eps kind; the default is
            Optax's, the paper has none: `eps=0`.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `cover` (μ), from 0, one number for every slice across an axis: n + m for an
    (n, m) matrix, n for a vector; with momentum `mu` (m), from 0, 4 bytes per
    parameter.

    Departs from the paper: the momentum is that of its experiments, not of the
    algorithm; ε, which is Optax's.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Anil et al., "Memory-efficient adaptive optimization", NeurIPS 2019,
    Algorithm SM3-II, arXiv:1901.11150.
    """
    direction = scale_by_sm3(momentum, eps=eps, axis_name=axis_name)
    return chain(direction, LearningRate(learning_rate))
