"""Computing matrices of one shape together, whichever leaves they belong to.

A rule that says which matrices a leaf holds (`Rule.matrices`) is given those of all
leaves in stacks: one stack for each shape and dtype (`Rule.together`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array


def run(together: Callable[[Array], Array], each: dict[int, Any]) -> dict[int, Any]:
    """Apply `together` to the matrices of each leaf, one call for all of one kind.

    `each` has an array (k, m, n) for every leaf by its number, or None; the results
    have the same numbers and shapes.
    """
    kinds: dict[Any, list[int]] = {}
    for i, x in each.items():
        if x is not None:
            alone = i if _is_split(x) else None
            kinds.setdefault((_kind(x), alone), []).append(i)
    done: dict[int, Any] = dict.fromkeys(each)
    for numbers in kinds.values():
        parts = [each[i] for i in numbers]
        stack = together(parts[0] if len(parts) == 1 else jnp.concatenate(parts))
        first = 0
        for i, part in zip(numbers, parts, strict=True):
            done[i] = jax.lax.slice_in_dim(stack, first, first + part.shape[0])
            first += part.shape[0]
    return done


def _is_split(x: Any) -> bool:
    """Return whether devices have different matrices, by the type of the stack.

    Such a stack is not joined to others: its matrices would have to be sent.
    """
    return any(jax.typeof(x).sharding.spec)


def _kind(x: Any) -> Any:
    """Return what arrays must have in common to stand in one stack.

    That is the shape and dtype, and inside `shard_map` or with explicit shardings also
    where they are.
    """
    known = jax.typeof(x)
    where = getattr(known, "sharding", None), known.manual_axis_type
    placed = None if isinstance(x, Tracer) else getattr(x, "sharding", None)
    return x.shape[1:], x.dtype, where, placed
