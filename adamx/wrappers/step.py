"""One train step: update and apply, so that the state is updated in place.

On a CPU, with `update` alone, XLA may write the new moments before the old ones have
been used for the parameters, and must then copy the donated buffers. Here stochastic
rounding waits for the new parameters, and the moments are updated in place. In a rule
or a chain each leaf waits for its own parameter; elsewhere all wait for all.
"""

import importlib
from typing import Any

import jax
import jax.numpy as jnp

from ..engine import row_updates, tree_checks
from ..engine.leaves import applied_to_all, column
from ..engine.order import zero_after
from ..engine.paths import flatten
from ..engine.transformation import Transformation, check_transformation
from ..engine.value import is_array, is_traced
from .fused import is_fused


def step(tx: Any, params: Any, grads: Any, state: Any, **extra: Any) -> tuple[Any, Any]:
    """Update and apply in one; the results are bit for bit those of the two calls:

        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)

    Call it inside `jax.jit` with params and state donated. On a CPU, a state with
    stochastic rounding (`adamx.store`) then needs no temporary copy of its moments, nor
    do moments that depend on the count (`schedule_free_adamw`, `adamod`). For other
    states there is no gain. It takes as long to trace and to compile as the two calls,
    except around groups (`adamx.groups`) and transformations of other libraries with
    slots of fewer than 32 bits, which are computed twice until XLA finds it. One
    element of each sharded parameter is exchanged between devices then. On a GPU
    and a TPU, the program is that of the two calls. With `adamx.accumulate` the
    parameters are not read or written at the micro-batches that make no step, and the
    results are those of the two calls to rounding. With `adamx.fused` a step is one
    pass, and the results are those of the two calls within the units that it names.

    Args:
        tx: any gradient transformation.
        params: the parameters.
        grads: their gradients.
        state: the state that goes with them.
        **extra: extra arguments of `tx.update`.

    Returns:
        The new parameters and the new state.

    Raises:
        TypeError: `tx` is no gradient transformation.
    """
    remedy = "Pass for example adamw(1e-3) first, then params, grads and state."
    check_transformation("step", tx, remedy)
    if row_updates.has_rows(grads):  # rows are read before they are written
        if isinstance(tx, Transformation) and is_fused(tx) and tx._has_one_pass():
            return _rows_in_one_pass(tx, params, grads, state, extra)
        updates, state = tx.update(grads, state, params, **extra)
        # imported when it is needed, with all that row-sparse gradients take
        applying = importlib.import_module("adamx.sparse.applying")
        return applying.apply_updates(params, updates), state
    if isinstance(tx, Transformation):
        tx._check_call(grads, state, params)
        in_one = _in_one_pass(tx, grads, state, params, extra)
        if in_one is not None:
            return _with_others(in_one[0], params, grads), in_one[1]
    updates, after = tx.update(grads, state, params, **extra)
    stepped = applied_to_all(params, updates)
    if is_fused(tx) or not (_is_narrow(state) and is_traced(grads, state, params)):
        return stepped, after  # where nothing is compiled, nothing is in place
    _, state = tx.update(grads, _after(stepped, state), params, **extra)
    return stepped, state


def _is_narrow(state: Any) -> bool:
    """Return whether arrays of a state have fewer than 32 bits an element."""
    arrays = filter(is_array, jax.tree.leaves(state))
    return any(x.size > 1 and x.dtype.itemsize < 4 for x in arrays)


def _in_one_pass(
    tx: Any, grads: Any, state: Any, params: Any, extra: dict[str, Any]
) -> tuple[Any, Any] | None:
    grads = tree_checks.as_arrays(grads)
    tree_checks.check_updates(grads)
    kept = tree_checks.with_gradients(grads, params)
    return tx._in_one_pass(grads, state, kept, extra)


def _rows_in_one_pass(
    tx: Any, params: Any, grads: Any, state: Any, extra: dict[str, Any]
) -> tuple[Any, Any]:
    """Return the new parameters and the new state, of a `tx` with a pass for both."""
    views: list[Any] = []

    def run(view: Any, *given: Any) -> Any:
        views.append(view)
        return _in_one_pass(tx, view, *given)

    tx._check_call(grads, state, params)
    done = row_updates.update(tx, grads, state, params, extra, run, applied=True)
    return _with_others(done[0], params, views[0]), done[1]


def _with_others(stepped: Any, params: Any, grads: Any) -> Any:
    """Return the new parameters, the old ones where there is no gradient."""
    leaves, treedef = flatten(grads)
    olds = column("params", params, grads)
    news = treedef.flatten_up_to(stepped)
    some = [g is not None and g.size for g in leaves]
    pairs = zip(some, news, olds, strict=True)
    return treedef.unflatten([new if here else old for here, new, old in pairs])


def _after(params: Any, state: Any) -> Any:
    """Return the same state, with counts that depend on the new parameters."""
    arrays = filter(is_array, jax.tree.leaves(params))
    zero = sum(map(zero_after, arrays), jnp.uint32(0))

    def one(x: Any) -> Any:
        is_count = jnp.shape(x) == () and jnp.issubdtype(x.dtype, jnp.integer)
        return x + zero.astype(x.dtype) if is_count else x

    return jax.tree.map(one, state)
