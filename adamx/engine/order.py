"""The order of a step on a CPU: what may be written in place is written last."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Var
from jaxtyping import Array, UInt32

from .inlining import opened


def zero_after(p: Array) -> UInt32[Array, ""]:
    """Return 0; what is computed from it on a CPU waits until `p` has been computed.

    It is 0 without a dependence where XLA updates in place without being told: on a GPU
    and a TPU, and for what is no array of floating-point numbers.
    """
    if not p.size or not jnp.issubdtype(p.dtype, jnp.floating):
        return jnp.uint32(0)
    return jax.lax.platform_dependent(p, cpu=_computed, default=_known)


def _computed(p: Array) -> UInt32[Array, ""]:
    """Return 0, computed from a number of `p`: XLA does not simplify x · 0 to 0."""
    first = jax.lax.optimization_barrier(p)[(0,) * p.ndim].astype(jnp.float32)
    return (first * 0 > 0).astype(jnp.uint32)  # 0 also of what is no number


def _known(p: Array) -> UInt32[Array, ""]:
    zero = jnp.uint32(0)
    if not jax.typeof(p).manual_axis_type.varying:
        return zero
    # inside shard_map it must vary over the mesh as the other branch does
    return zero * (p[(0,) * p.ndim] == 0).astype(jnp.uint32)


def dependent(function: Callable[..., dict[str, Any]], *given: Any) -> list[str]:
    """Return the names of the results of a function that depend on its arguments."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*given)
    jaxpr, _ = opened(closed)
    known = set(jaxpr.invars)
    for equation in jaxpr.eqns:
        if any(isinstance(x, Var) and x in known for x in equation.invars):
            known |= set(equation.outvars)
    found = jax.tree.unflatten(
        jax.tree.structure(shapes),
        [isinstance(x, Var) and x in known for x in jaxpr.outvars],
    )
    return [name for name, each in found.items() if any(jax.tree.leaves(each))]
