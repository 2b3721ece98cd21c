"""Which leaf is the first that is not finite, as an index; -1 for none."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..engine.paths import leaves_by_path
from .running import by_path
from .statistics import square_sum


def _is_bad(x: Any) -> Array:
    # the largest is not finite if one is not: `all(isfinite(x))` writes bools on a CPU
    return ~jnp.isfinite(jnp.max(jnp.abs(x), initial=0))


def _index(order: list[str], flags: dict[str, Array]) -> Array:
    """Return the index in `order` of the first leaf that is flagged, -1 for none."""
    each = [
        jnp.where(flag, order.index(path), len(order)) for path, flag in flags.items()
    ]
    if not each:
        return jnp.full((), -1, jnp.int32)
    first = functools.reduce(jnp.minimum, each).astype(jnp.int32)
    return jnp.where(first == len(order), -1, first)


def first_bad(updates: Any, paths: list[str], squares: Any = None) -> Array:
    """Return the index of the first leaf whose gradient is not finite."""
    leaves = by_path(updates)
    order = [path for path, _ in leaves_by_path(updates)]

    def exact() -> Array:
        return _index(order, {path: _is_bad(leaves[path]) for path in paths})

    if squares is None:
        squares = {path: square_sum(leaves[path]) for path in paths}
    # a finite number may have a square that is not: looked at again, which is rare
    suspect = _is_bad(sum(squares.values(), jnp.zeros(())))
    return jax.lax.cond(suspect, exact, lambda: jnp.full((), -1, jnp.int32))


def first_bad_of(updates: Any, paths: list[str], *each: dict[str, Any]) -> Array:
    """Return the index of the first leaf of which something else is not finite."""
    order = [path for path, _ in leaves_by_path(updates)]
    flags: dict[str, Array] = {}
    for leaves in each:
        for path in paths:
            if path in leaves:
                bad = _is_bad(leaves[path])
                flags[path] = flags[path] | bad if path in flags else bad
    return _index(order, flags)


def earlier(one: Array, other: Array) -> Array:
    """Return the smaller of two indices, of which -1 is none."""
    both = (one >= 0) & (other >= 0)
    return jnp.where(both, jnp.minimum(one, other), jnp.maximum(one, other))
