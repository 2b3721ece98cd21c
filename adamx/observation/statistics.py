"""The numbers that are made of what is noted of each leaf, whole and by group."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jaxtyping import Array

from ..engine.leaves import applied
from ..engine.tree import shared_dtype
from ..numerics.arithmetic import compute_dtype, safe_divide
from ..numerics.sharding import layout_of, unsharded
from .running import Leaves, Seen

QUANTILES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}
"""The quantiles of the effective rate, by the end of their keys."""
RANKED = 2**12
"""As many elements are sorted for the quantiles: to sort more takes too long."""


class Noted(NamedTuple):
    """What is known of one step.

    Attributes:
        gradient, update, param: the elements that are looked at, by path.
        seen: what the links have done to them.
        squares: the sums of the squares of the whole gradients.
        sizes: the numbers of elements of the whole leaves.
    """

    gradient: Leaves
    update: Leaves
    param: Leaves
    seen: Seen
    squares: Leaves
    sizes: dict[str, int]

    def weight(self, path: str) -> float:
        """Return for how many elements one that is looked at stands."""
        return self.sizes[path] / max(self.gradient[path].size, 1)


def square_sum(x: Array) -> Array:
    wide = x.astype(compute_dtype(x.dtype))
    return jnp.sum(wide * wide).astype(shared_dtype())


def _total(numbers: Iterable[Any]) -> Array:
    return sum((jnp.asarray(x, shared_dtype()) for x in numbers), jnp.zeros(()))


def _norm(noted: Noted, leaves: Leaves, paths: Iterable[str]) -> Array:
    each = (noted.weight(p) * square_sum(leaves[p]) for p in paths if p in leaves)
    return jnp.sqrt(_total(each)).astype(shared_dtype())


def _share(noted: Noted, leaves: Leaves, paths: Iterable[str]) -> Array:
    """Return the mean of something over the elements of the leaves that have it."""
    own = [path for path in paths if path in leaves]
    size = sum(noted.sizes[path] for path in own)
    wide = shared_dtype()
    total = _total(noted.weight(p) * jnp.sum(leaves[p], dtype=wide) for p in own)
    return (total / max(size, 1)).astype(wide)


def _lost(noted: Noted, paths: Iterable[str]) -> Leaves:
    """Return which elements have a step that is lost in rounding the new parameter."""
    lost: Leaves = {}
    for path in paths:
        if path in noted.update:
            p, u = noted.param[path], noted.update[path]
            before = noted.seen.finished.get(path, u)
            lost[path] = (before != 0) & (applied(p, u) == p)
    return lost


def row_of(x: Array) -> Array:
    """Return the elements of a leaf along one axis, which is not split over devices."""
    return (unsharded(x) if is_explicit(x) else x).ravel()


def is_explicit(x: Any) -> bool:
    """Return whether a leaf is on a mesh of Explicit axes.

    There JAX neither sorts along an axis that is split, nor takes some of its elements.
    """
    return layout_of(x)[1] is AxisType.Explicit


def _effective_rates(noted: Noted, paths: Iterable[str]) -> dict[str, Array]:
    """Return quantiles of |u| / |g| over the elements whose gradient is not 0."""
    wide = shared_dtype()
    rates, weights = [], []
    for path in paths:
        if path not in noted.update:
            continue
        g, u = (row_of(x[path]).astype(wide) for x in (noted.gradient, noted.update))
        rates.append(jnp.where(g == 0, jnp.inf, jnp.abs(safe_divide(u, g))))
        weights.append(jnp.where(g == 0, 0, jnp.full_like(g, noted.weight(path))))
    if not rates:
        return {name: jnp.zeros((), wide) for name in QUANTILES}
    step = -(-sum(x.size for x in rates) // RANKED)
    each = (jnp.concatenate(rates)[::step], jnp.concatenate(weights)[::step])
    rates, weights = jax.lax.sort(each, num_keys=1)
    reached = jnp.cumsum(weights)

    # the smallest rate up to which this share of the elements lies
    shares = jnp.asarray(tuple(QUANTILES.values()), wide)
    below = jnp.sum(reached[None] < shares[:, None] * reached[-1], axis=1)
    found = rates[jnp.minimum(below, rates.size - 1)]
    found = jnp.where(reached[-1] > 0, found, 0)
    return dict(zip(QUANTILES, found, strict=True))


def _clipped_norm(noted: Noted, paths: list[str]) -> Array:
    """Return the norm of the gradient after the clips in front of the optimizer.

    What is looked at says by what factor it is below that of the whole gradient, so
    that it is exact for a clip by the global norm.
    """
    cut = {path: noted.seen.cut.get(path, noted.gradient[path]) for path in paths}
    after, before = (_norm(noted, x, paths) for x in (cut, noted.gradient))
    whole = jnp.sqrt(_total(noted.squares[path] for path in paths))
    known = (before > 0) & jnp.isfinite(before)
    return jnp.where(known, whole * safe_divide(after, before), after)


SHARES: dict[str, Callable[[Seen], Leaves]] = {
    "clipped": lambda seen: seen.clipped,
    "cautious_masked": lambda seen: seen.cautious,
    "eps_dominates": lambda seen: seen.eps,
    "signal_to_noise": lambda seen: seen.signal,
}
"""Means over elements that only some optimizers have, by key."""

ALWAYS = (
    "grad_norm",
    "update_norm",
    "param_norm",
    "update_ratio",
    *(f"effective_rate_{name}" for name in QUANTILES),
    "rounded_away",
)
"""The keys that every transformation has."""


def statistics(noted: Noted, paths: list[str], also: Iterable[str]) -> dict[str, Array]:
    """Return the metrics of these leaves by key: `ALWAYS`, and those of `also`."""
    wide = shared_dtype()
    param = _norm(noted, noted.param, paths)
    update = _norm(noted, noted.update, paths)
    found = {
        "grad_norm": jnp.sqrt(_total(noted.squares[path] for path in paths)),
        "update_norm": update,
        "param_norm": param,
        "update_ratio": safe_divide(update, param),
        "rounded_away": _share(noted, _lost(noted, paths), paths),
    }
    rates = _effective_rates(noted, paths)
    found |= {f"effective_rate_{name}": x for name, x in rates.items()}
    for key in also:
        if key == "clipped_norm":
            found[key] = _clipped_norm(noted, paths)
        else:
            found[key] = _share(noted, SHARES[key](noted.seen), paths)
    return {key: x.astype(wide) for key, x in found.items()}
