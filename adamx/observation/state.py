"""The state of an observed transformation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..engine.state import serializable


@serializable
class Observed(NamedTuple):
    """The state of a transformation that is observed.

    Attributes:
        seen: the updates seen, int32.
        sampled: the metrics of the last sample by key; zeros before the first.
        nonfinite_leaf: the index of the first leaf that was not finite; -1 for none.
        nonfinite_step: the step at which that was seen; 0 for none.
        inner: the state of the transformation.
    """

    seen: Any
    sampled: dict[str, Array]
    nonfinite_leaf: Any
    nonfinite_step: Any
    inner: Any


def with_inner(fresh: Observed, saved: Any, inner: Any) -> Observed:
    """Return a saved state around the restored state of the transformation.

    `saved` are the fields of one by name, None for a state that was not observed. If it
    has other metrics than the fresh one, they are begun anew.
    """
    if saved is None or set(saved["sampled"]) != set(fresh.sampled):
        return fresh._replace(inner=inner)
    new = {name: saved[name] for name in Observed._fields if name != "inner"}
    old = {name: getattr(fresh, name) for name in new}
    cast = jax.tree.map(lambda x, y: jnp.asarray(y, x.dtype), old, new)
    return Observed(**cast, inner=inner)
