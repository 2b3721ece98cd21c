"""Gradient accumulation: one step of an optimizer for several micro-batches."""

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import errors
from ..engine.options import Range, real, switch, whole
from .accumulating import Accumulating
from .around import as_inner

_EVERY = Range(1, advice="It is the number of micro-batches of a step, such as 8.")
_SPIKES = Range(
    above=1,
    advice="Steps with so many times the average norm are left out; 10 leaves out few.",
)


def accumulate(
    tx: Any,
    every: Any,
    *,
    weights: Any = None,
    dtype: Any = jnp.float32,
    skip_nonfinite: bool = False,
    skip_spikes: float | None = None,
) -> Accumulating:
    """Take one step of an optimizer for every so many micro-batches.

        ḡ = Σ wᵢ gᵢ / Σ wᵢ    over the micro-batches i of a step

    Only the last micro-batch of a step runs the optimizer, on ḡ; at the others `update`
    adds the gradient to a sum, and returns updates of zeros. If gᵢ is the gradient of
    the mean loss of wᵢ tokens, ḡ is that of the mean loss of all of them: the step is
    that of the large batch, to rounding.

        tx = accumulate(adamw(3e-4), 8, weights="tokens")
        updates, state = tx.update(grads, state, params, tokens=mask.sum())

    Schedules of the optimizer count its steps, not the micro-batches. With
    `adamx.step(tx, params, grads, state)` a micro-batch does not touch the parameters
    either; otherwise `optax.apply_updates` adds the zeros to them.

    Args:
        tx: any gradient transformation.
        every: the micro-batches of a step.
        weights: None where all weigh the same; the name of the extra argument of
            `update` that is the weight of a micro-batch, such as its number of tokens;
            or one number for each of them. Other extra arguments go to the optimizer,
            which sees those of the last micro-batch.
        dtype: that of the sum; float64 gradients are summed in float64 by default.
        skip_nonfinite: whether a step with a gradient that is not finite leaves
            parameters and state as they are.
        skip_spikes: leave out steps of which the global norm of ḡ is more than so many
            times the average norm of the steps before (of all, or with 1 / 100 for
            each). The first 10 are taken. Of a step that was left out the limit goes
            into the average, so that norms which stay high are accepted in time.

    State: `Accumulated`: the sum, one array like each parameter that is not frozen
    by `groups`, of `dtype` (4 bytes per parameter), on the same devices; the state of
    the optimizer; 6 numbers. `state.skipped_nonfinite` and `state.skipped_spikes` count
    the steps that were left out. Steps with weights that sum to 0 are, always, and are
    counted as not finite.

    Departs from `optax.MultiSteps`: that runs the whole optimizer at each micro-batch,
    and drops the result.

    Raises:
        ValueError: `every` below 1; a `skip_spikes` of 1 or less; no floating `dtype`;
            `weights` of another number, negative or all 0; inside `shard_map`, one of
            the two `skip_` options, since each device would decide for itself.
        TypeError: `tx` is no gradient transformation; no weight is given to `update`.
    """
    inner = as_inner("accumulate", tx, "Pass for example accumulate(adamw(1e-3), 8).")
    every = whole("accumulate", "every", every, _EVERY)
    if skip_spikes is not None:
        skip_spikes = real("accumulate", "skip_spikes", skip_spikes, _SPIKES)
    kept = jnp.dtype(dtype)
    if not jnp.issubdtype(kept, jnp.floating):
        raise errors.type_error(
            "accumulate",
            "`dtype` must be a floating dtype, of the sum of gradients",
            kept.name,
            "Pass jnp.float32, or jnp.bfloat16 for half the bytes.",
        )
    skipping = switch("accumulate", "skip_nonfinite", skip_nonfinite)
    given = _checked_weights(weights, every)
    return Accumulating(inner, every, given, kept, skipping, skip_spikes)


def _checked_weights(weights: Any, every: int) -> str | tuple[float, ...] | None:
    if weights is None or (isinstance(weights, str) and weights.isidentifier()):
        return weights
    if isinstance(weights, str | numbers.Real) or not np.iterable(weights):
        raise errors.type_error(
            "accumulate",
            "`weights` must be the name of an extra argument of update, or a number "
            "for each micro-batch",
            errors.shown(weights),
            "Pass weights='tokens', and update(..., tokens=...).",
        )
    each = tuple(float(x) for x in weights)
    if len(each) != every or min(each) < 0 or not sum(each) > 0:
        raise errors.AdamxError(
            f"accumulate: `weights` must be {every} numbers of at least 0, one for "
            f"each micro-batch, not all 0, got {list(each)}. Pass None if all are "
            f"equal."
        )
    return each
