"""Reading the metrics in a state: `adamx.metrics` and `adamx.first_nonfinite`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from .. import errors
from ..engine.nested import check_readable, find_by_group, find_states
from ..engine.paths import paths
from ..engine.state import State
from ..engine.tree import shared_dtype
from ..wrappers.accumulating import Accumulated
from ..wrappers.tunable import Tuned
from .state import Observed


class FirstNonfinite(NamedTuple):
    """The first leaf that was not finite.

    Attributes:
        leaf: its path, such as `layers/0/kernel`.
        step: the step at which that was seen, 1 for the first.
    """

    leaf: str
    step: int


def _observed(where: str, state: Any) -> list[tuple[str, Observed]]:
    check_readable(where, state, (Observed, Tuned, State))
    found = find_by_group(state, Observed)
    if not found:
        raise errors.AdamxError(
            f"{where}: the state must come from adamx.observe, got "
            f"{type(state).__name__}. Wrap the transformation: "
            f"observe(tx, every=10)."
        )
    return found


def metrics(state: Any) -> dict[str, Array]:
    """Return the metrics in a state, as a flat dict of scalars by key.

        log({key: float(x) for key, x in adamx.metrics(state).items()})

    They are those of the last sampled step, which is `step`, and zeros before the
    first; `nonfinite_leaf` and `nonfinite_step` are those of the first leaf that was
    not finite, -1 and 0 for none. The state may be in others: in a chain, of
    `optax.partition` (with the label before the keys), `optax.MultiSteps`,
    `accumulate`, or of an `nnx.Optimizer`. Inside `jax.jit` the scalars are traced.

    The page "Metrics" has the equation of each key. The keys depend on the
    transformation alone: they are the same at all steps.

    Args:
        state: a state in which there is one of `adamx.observe`.

    Raises:
        ValueError: there is none in it, or two outside of groups.
        TypeError: it is no state.
    """
    values: dict[str, Array] = {}
    for group, observed in _observed("metrics", state):
        here = {group + key: _scalar(x) for key, x in observed.sampled.items()}
        here[f"{group}nonfinite_leaf"] = _scalar(observed.nonfinite_leaf)
        here[f"{group}nonfinite_step"] = _scalar(observed.nonfinite_step)
        twice = sorted(values.keys() & here.keys())
        if twice:
            raise errors.AdamxError(
                f"metrics: each key must stand in one place of the state, got "
                f"{twice[0]!r} twice. Pass the part of the state that is meant."
            )
        values |= here
    for group, sums in find_by_group(state, Accumulated):
        values |= {group + key: x for key, x in _skipped(sums).items()}
    return values


def _scalar(x: Any) -> Array:
    return jax.tree.leaves(x)[0]  # nnx keeps it in a variable


def _skipped(sums: Accumulated) -> dict[str, Array]:
    """Return the share of the steps so far that `accumulate` has left out."""
    counts = [_scalar(x.count) for x in find_states(sums.inner, State)[:1]]
    wide = shared_dtype()
    left = _scalar(sums.skipped_nonfinite) + _scalar(sums.skipped_spikes)
    taken = counts[0] if counts else jnp.zeros_like(left)
    return {"skipped": left.astype(wide) / jnp.maximum(left + taken, 1).astype(wide)}


def first_nonfinite(state: Any, params: Any) -> FirstNonfinite | None:
    """Return the path of the first leaf that was not finite, and the step; or None.

        FirstNonfinite(leaf='layers/0/kernel', step=130)

    It is the first in the order of the parameters whose gradient, update or parameter
    had a NaN or an infinity at the first sampled step where any had one. With
    `observe(tx, nonfinite_every=1)` the step is exact for gradients.

    Args:
        state: a state in which there is one of `adamx.observe`.
        params: the parameters, for the paths.

    Raises:
        ValueError: there is no such state; a call inside `jax.jit`, where the number
            is not known: `metrics(state)["nonfinite_leaf"]` is.
        TypeError: `state` is no state.
    """
    found = []
    for _, observed in _observed("first_nonfinite", state):
        leaf = _scalar(observed.nonfinite_leaf)
        if isinstance(leaf, Tracer):
            raise errors.AdamxError(
                "first_nonfinite: the state must hold numbers, got one that is being "
                "traced. Call it outside jax.jit; inside, read "
                "metrics(state)['nonfinite_leaf']."
            )
        if int(leaf) >= 0:
            found.append((int(_scalar(observed.nonfinite_step)), int(leaf)))
    if not found:
        return None
    step, leaf = min(found)
    return FirstNonfinite(paths(params)[leaf], step)
