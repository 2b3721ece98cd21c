"""Look-ups of rows of a table, and gradients with respect to these rows only."""

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array

from .. import errors
from ..engine.paths import flatten, paths
from ..engine.value import is_array
from ..numerics.row_sparse import RowSparse


class _Lookup(NamedTuple):
    """One look-up of a loss: the leaf, and the form of what was looked up."""

    leaf: int
    rows: Any  # shape, dtype and sharding


class _Tape(threading.local):
    """The look-ups of the loss that this thread is tracing; None outside of one."""

    now: Any = None


_tape = _Tape()


def _trace() -> Any:
    """Return what is equal in two places that are traced together."""
    return get_opaque_trace_state(convention="nnx")


class _Record:
    """What `lookup` notes of a loss, and where its rows come from."""

    def __init__(self, leaves: list, names: list[str], tables: Any, deltas: Any):
        self.leaves, self.names = leaves, names
        self.tables, self.deltas, self.trace = tables, deltas, _trace()
        self.seen: list[_Lookup] = []
        self.ids: list[Any] = []

    def leaf_of(self, table: Any) -> int:
        for i, leaf in enumerate(self.leaves):
            if leaf is table:
                return i
        raise errors.AdamxError(
            f"lookup: `table` must be an array of the parameters that the loss was "
            f"given, got {errors.shown(table)} that is none of "
            f"{errors.listed(self.names)}. Pass the parameter itself, not one that was "
            f"cast or computed, and not through jax.jit, jax.checkpoint or "
            f"jax.lax.scan inside the loss; cast the rows."
        )

    def rows(self, table: Any, ids: Array) -> Array:
        if _trace() != self.trace:
            raise errors.AdamxError(
                "lookup: a table must be looked up directly in the loss, got a look-up "
                "inside jax.vmap, jax.jit, jax.checkpoint or jax.lax.scan. Look up all "
                "ids before it, and pass the rows."
            )
        leaf = self.leaf_of(table)
        rows = _gathered(self.tables[leaf], ids)
        if self.deltas is not None:
            rows = _with_gradient(rows, self.deltas[len(self.seen)])
        self.seen.append(_Lookup(leaf, jax.typeof(rows)))
        self.ids.append(ids)
        return rows


@jax.custom_vjp
def _with_gradient(rows: Array, delta: Array) -> Array:
    return rows


def _forward(rows: Array, delta: Array) -> tuple[Array, None]:
    return rows, None


def _backward(_: None, gradient: Array) -> tuple[None, Array]:
    return None, gradient


_with_gradient.defvjp(_forward, _backward)  # pyright: ignore[reportFunctionMemberAccess]


def _gathered(table: Array, ids: Array) -> Array:
    """Return rows by id: zeros for padding, NaN above it."""
    n = table.shape[0]
    padding = ((ids < 0) | (ids == n)).reshape(*ids.shape, *[1] * (table.ndim - 1))
    safe = jnp.where(ids < 0, n, ids)
    sharding = jax.typeof(table).sharding
    kept = {}
    if not sharding.mesh.empty and sharding.mesh.are_all_axes_explicit:
        spec = [None] * ids.ndim + list(sharding.spec[1:])
        kept["out_sharding"] = jax.sharding.NamedSharding(
            sharding.mesh, jax.sharding.PartitionSpec(*spec)
        )
    rows = table.at[safe].get(mode="fill", fill_value=jnp.nan, **kept)
    return jnp.where(padding, jnp.zeros((), table.dtype), rows)


def lookup(table: Any, ids: Any) -> Array:
    """Return the rows of a table: `table[ids]`, of shape `(*ids.shape, *row)`.

    Inside `adamx.sparse.value_and_grad` the gradient of the table is row-sparse;
    elsewhere it is an ordinary function of JAX with a dense gradient. An id that is
    negative or `table.shape[0]` is padding, its row is zeros and has no gradient; the
    row of a higher id is NaN, so that the loss tells of it, and has no gradient either.

    Args:
        table: floating, shape (rows, ...).
        ids: integers of any shape.

    Raises:
        TypeError: `table` is no floating array with rows, or `ids` are no integers.
        ValueError: inside `value_and_grad`, `table` is no leaf of the parameters.
    """
    if not is_array(table) and callable(getattr(table, "__jax_array__", None)):
        table = table.__jax_array__()  # in a box of Flax
    ids = jnp.asarray(ids)
    if not (hasattr(table, "dtype") and jnp.issubdtype(table.dtype, jnp.floating)):
        raise errors.type_error(
            "lookup",
            "`table` must be a floating array",
            errors.shown(table),
            "Pass a parameter of shape (rows, ...).",
        )
    if not jnp.ndim(table):
        raise errors.AdamxError(
            "lookup: `table` must have rows, got an array of shape (). Pass a "
            "parameter of shape (rows, ...)."
        )
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise errors.type_error(
            "lookup", "`ids` must be integers", errors.shown(ids), "Cast them."
        )
    if not jnp.issubdtype(ids.dtype, jnp.signedinteger):
        ids = ids.astype(jnp.int32)
    if _tape.now is None:
        return _gathered(jnp.asarray(table), ids)
    return _tape.now.rows(table, ids)


def value_and_grad(loss: Callable, has_aux: bool = False) -> Callable:
    """Differentiate a loss; gradients of looked-up tables are `RowSparse`.

        value, grads = adamx.sparse.value_and_grad(loss)(params, batch)

    As `jax.value_and_grad` with respect to the first argument, a tree of parameters:
    the leaves that the loss passes to `lookup` have row-sparse gradients, each id
    once and in any order, and all others dense ones. No array of the size of a table is
    made. A loss may look up several tables, and one table several times, but not use it
    in another way. It is traced twice, so it must be a pure function.

    Args:
        loss: a function `loss(params, *args, **kwargs)` that returns a real number.
        has_aux: whether it returns a pair of the number and other data.

    Returns:
        A function like `loss` that returns the pair (what `loss` returns, gradients).

    Raises:
        TypeError: `loss` is no function.
        ValueError: a table is used in another way too, or looked up inside `jax.jit`,
            `jax.vmap`, `jax.checkpoint` or `jax.lax.scan` in the loss.
    """
    if not callable(loss):
        raise errors.type_error(
            "value_and_grad",
            "`loss` must be a function of the parameters",
            errors.shown(loss),
            "Pass the function, then the parameters to what this returns.",
        )

    @functools.wraps(loss)
    def differentiated(params: Any, *args: Any, **kwargs: Any) -> Any:
        leaves, treedef = flatten(params)
        leaves = _distinct(leaves)
        names = paths(params)
        at = [i for i, x in enumerate(leaves) if x is not None]

        def recorded(arrays: list, deltas: Any) -> Any:
            """Run the loss on arrays; look-ups read the tables outside of the trace."""
            own: list[Any] = [None] * len(leaves)
            for i, x in zip(at, arrays, strict=True):
                own[i] = x
            record = _Record(own, names, leaves, deltas)
            before, _tape.now = _tape.now, record
            try:
                return loss(treedef.unflatten(own), *args, **kwargs), record
            finally:
                _tape.now = before

        seen = _looked_up(recorded, leaves, at, names)
        tables = sorted({one.leaf for one in seen})
        dense = [i for i in at if i not in tables]

        def of_rows(of_dense: list, deltas: list) -> Any:
            given = dict(zip(dense, of_dense, strict=True))
            result, record = recorded([given.get(i, leaves[i]) for i in at], deltas)
            value, aux = result if has_aux else (result, None)
            return value, (aux, record.ids)

        deltas = [_zeros(one.rows) for one in seen]
        (value, (aux, ids)), (of_dense, of_rows_seen) = jax.value_and_grad(
            of_rows, argnums=(0, 1), has_aux=True
        )([leaves[i] for i in dense], deltas)
        grads: list[Any] = [None] * len(leaves)
        for i, g in zip(dense, of_dense, strict=True):
            grads[i] = g
        for i in tables:
            grads[i] = _joined(leaves[i], i, seen, ids, of_rows_seen)
        return ((value, aux) if has_aux else value), treedef.unflatten(grads)

    return differentiated


def _zeros(like: Any) -> Array:
    mesh = like.sharding.mesh
    explicit = not mesh.empty and mesh.are_all_axes_explicit
    placed = like.sharding if explicit else None
    return jnp.zeros(like.shape, like.dtype, device=placed)


def _distinct(leaves: list) -> list:
    """Return the leaves, each an object of its own, by which look-ups know them."""
    known: set[int] = set()
    own = []
    for x in leaves:
        own.append(jnp.array(x, copy=True) if id(x) in known and x is not None else x)
        known.add(id(x))
    return own


def _looked_up(
    recorded: Callable, leaves: list, at: list[int], names: list[str]
) -> list[_Lookup]:
    """Trace the loss for its look-ups; raise if a table is used in another way too."""
    seen: list[_Lookup] = []

    def trace(arrays: list) -> Any:
        _, record = recorded(arrays, None)
        seen.extend(record.seen)
        return record.ids

    jaxpr = jax.make_jaxpr(trace)([leaves[i] for i in at]).jaxpr
    used = {id(v) for eqn in jaxpr.eqns for v in eqn.invars}
    place = dict(zip(at, jaxpr.invars, strict=True))
    for one in seen:
        if id(place[one.leaf]) in used:
            raise errors.AdamxError(
                f"value_and_grad: a table must be used by `lookup` only, got "
                f"`{names[one.leaf]}`, with which the loss computes too: its gradient "
                f"would be dense. Use another parameter for that, or index the table "
                f"itself in place of `lookup`."
            )
    return seen


def _joined(
    table: Any, leaf: int, seen: list[_Lookup], ids: list, gradients: list
) -> RowSparse:
    """Return the gradient of one table from those of all its look-ups."""
    own = [j for j, one in enumerate(seen) if one.leaf == leaf]
    row = jnp.shape(table)[1:]
    indices = jnp.concatenate([ids[j].astype(jnp.int32).reshape(-1) for j in own])
    rows = jnp.concatenate([gradients[j].reshape(-1, *row) for j in own])
    return RowSparse._made(indices, rows, table.shape[0]).united()
