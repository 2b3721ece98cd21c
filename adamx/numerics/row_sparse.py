"""Row-sparse arrays: some rows of a table, by index, and nothing of the others.

The gradient of a look-up is such an array. Indices are kept as bits in the pytree,
since a function that maps over all numbers of a tree, as `optax.scale` does, must not
turn one index into another: what computes with bits raises an error, or leaves them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .. import errors
from .arithmetic import compute_dtype
from .first_places import first_places

_BITS = 32


@jax.tree_util.register_pytree_with_keys_class
class RowSparse:
    """Hold some rows of a table of `num_rows` rows; all other rows are zero.

        RowSparse(jnp.array([3, 7]), jnp.ones((2, 64)), num_rows=400_000)

    An index that is negative or `num_rows` is padding: its row counts for nothing. An
    index may stand there twice; the rows are then added. Indices above `num_rows` are
    an error where they can be read, and padding inside `jit`.

    `params + updates` adds the rows to a table, as `optax.apply_updates` does. In the
    pytree an index is 32 bools, so that foreign functions of trees cannot change it.

    Args:
        indices: integers, shape (k,).
        rows: floating, shape (k, ...): a row for each index.
        num_rows: the number of rows of the table, below 2³¹.

    Raises:
        TypeError: `indices` are no integers, or `rows` no floating array.
        ValueError: the shapes do not fit, or an index is above `num_rows`.
    """

    __array_ufunc__ = None  # so that NumPy's arrays leave `+` to `__radd__`

    def __init__(self, indices: Any, rows: Any, num_rows: Any) -> None:
        indices, rows = jnp.asarray(indices), jnp.asarray(rows)
        _check(indices, rows, num_rows)
        self._set(indices.astype(jnp.int32), rows, int(num_rows), False, False)

    def _set(
        self, indices: Any, rows: Any, num_rows: int, coalesced: bool, unique: bool
    ) -> None:
        self._indices, self.rows, self.num_rows = indices, rows, num_rows
        self.coalesced, self.unique = coalesced, unique or coalesced
        self._bits: Any = None

    @classmethod
    def _made(
        cls,
        indices: Any,
        rows: Any,
        num_rows: int,
        coalesced: bool = False,
        unique: bool = False,
    ) -> Any:
        made = cls.__new__(cls)
        made._set(indices, rows, num_rows, coalesced, unique)
        return made

    @property
    def indices(self) -> Array:
        """The indices, int32, shape (k,)."""
        return self._indices if self._bits is None else _from_bits(self._bits)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the table."""
        return (self.num_rows, *self.rows.shape[1:])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        return self.rows.dtype

    def __repr__(self) -> str:
        shape = getattr(self.rows, "shape", None)
        return f"RowSparse(rows={shape}, num_rows={self.num_rows})"

    def with_rows(self, rows: Any) -> "RowSparse":
        """Return other rows at the same indices."""
        static = self.num_rows, self.coalesced, self.unique
        return RowSparse._made(self.indices, rows, *static)

    def coalesce(self) -> "RowSparse":
        """Return the same array with sorted indices, each once, and padding at the end.

        There are as many as before, or `num_rows + 1` if that is less: the number of
        different ones is not known while tracing. Rows are added in float32, or wider.
        """
        if self.coalesced:
            return self
        given, n = self.indices, self.num_rows
        size = given.shape[0]
        kept = min(size, n + 1)
        if not size:
            return RowSparse._made(given, self.rows, n, True)
        known = _known(given, n)
        numbers = jnp.arange(size, dtype=jnp.int32)
        each, order = jax.lax.sort_key_val(known, numbers, is_stable=False)
        begins = jnp.concatenate([jnp.zeros(1, bool), each[1:] != each[:-1]])
        in_order = jnp.cumsum(begins, dtype=jnp.int32)
        indices = jnp.full(kept, n, jnp.int32)
        indices = indices.at[in_order].min(each, indices_are_sorted=True)
        # rows of padding are added nowhere
        group = jnp.where(each < n, in_order, kept)
        group = numbers.at[order].set(group, unique_indices=True)
        wide = self.rows.astype(compute_dtype(self.dtype))
        sums = _summed(wide, group, kept)
        return RowSparse._made(indices, sums.astype(self.dtype), n, True)

    def united(self) -> "RowSparse":
        """Return the same array with each index once, among padding, in any order.

        On a CPU it takes less time than `coalesce`, which is what other platforms do:
        there a loop of unknown length would wait for the host. Where an index comes
        again there is padding then, with a row of zeros.
        """
        size = self.rows.shape[0]
        if self.unique or not size or size > self.num_rows:
            return self if self.unique else self.coalesce()

        def by_order(indices: Array, rows: Array) -> tuple[Array, Array]:
            made = RowSparse._made(indices, rows, self.num_rows).coalesce()
            return made.indices, made.rows

        def by_places(indices: Array, rows: Array) -> tuple[Array, Array]:
            known = _known(indices, self.num_rows)
            first = first_places(known)
            is_first = first == jnp.arange(size, dtype=jnp.int32)
            again = jnp.where(is_first | (known == self.num_rows), size, first)
            indices = jnp.where(is_first, known, self.num_rows)
            wide = rows.astype(compute_dtype(rows.dtype))
            sums = _united(wide, indices < self.num_rows, again)
            return indices, sums.astype(rows.dtype)

        given = self.indices, self.rows
        found = jax.lax.platform_dependent(*given, cpu=by_places, default=by_order)
        indices, rows = found
        return RowSparse._made(indices, rows, self.num_rows, unique=True)

    def todense(self) -> Array:
        """Return the whole table: for tests, as it is what should not be made."""
        return jnp.zeros(self.shape, self.dtype) + self

    def __radd__(self, table: Any) -> Array:
        """Return `table + self`, in the dtype that the sum of two arrays has."""
        if jnp.shape(table) != self.shape:
            raise errors.AdamxError(
                f"RowSparse: a table must have the shape {self.shape} to be added to, "
                f"got {jnp.shape(table)}. Pass the rows' own table."
            )
        here, table = self.united(), jnp.asarray(table)
        with jax.numpy_dtype_promotion("standard"):
            dtype = jnp.promote_types(table.dtype, here.dtype)
        if dtype != table.dtype:
            new = take_rows(table, here.indices).astype(dtype) + here.rows
            return put_rows(table.astype(dtype), here.indices, new)
        return add_rows(table, here.indices, here.rows.astype(dtype))

    __add__ = __radd__

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple]:
        bits = _as_bits(self._indices) if self._bits is None else self._bits
        key = jax.tree_util.GetAttrKey
        children = (key("index_bits"), bits), (key("rows"), self.rows)
        return children, (self.num_rows, self.coalesced, self.unique)

    @classmethod
    def tree_unflatten(cls, static: tuple, children: Any) -> Any:
        bits, rows = children
        if getattr(bits, "dtype", jnp.bool_) != jnp.bool_:
            raise errors.AdamxTypeError(
                f"RowSparse: the indices of rows must be left as they are, got numbers "
                f"of dtype {bits.dtype} in their place. A function of all arrays of a "
                f"tree has computed with them; put adamx's part in its place into "
                f"adamx.chain, or map over `rows` with "
                f"is_leaf=lambda x: isinstance(x, adamx.RowSparse)."
            )
        made = cls._made(None, rows, *static)
        made._bits = bits
        return made


def _known(indices: Array, n: int) -> Array:
    """Return the indices, those of no row as `n`."""
    return jnp.where((indices >= 0) & (indices < n), indices, n)


def _summed(rows: Array, group: Array, groups: int) -> Array:
    """Return the sums of rows by group, in the order in which they were given."""

    def run(rows: Array, group: Array) -> Array:
        return jax.ops.segment_sum(rows, group, groups)

    return _laid_out(run, _sharding(rows, True), rows, group)


def _united(rows: Array, is_first: Array, again: Array) -> Array:
    """Return the rows that are first, with those that come again added to them."""

    def run(rows: Array, is_first: Array, again: Array) -> Array:
        beside = (-1,) + (1,) * (rows.ndim - 1)
        firsts = jnp.where(is_first.reshape(beside), rows, 0)
        return firsts.at[again].add(rows, mode="drop")

    return _laid_out(run, _sharding(rows, True), rows, is_first, again)


def _as_bits(indices: Any) -> Any:
    if not hasattr(indices, "dtype"):  # a sharding or None, in a tree of such
        return indices
    words = jax.lax.bitcast_convert_type(indices, jnp.uint32)
    places = jnp.arange(_BITS, dtype=jnp.uint32)
    return (words[..., None] >> places & 1).astype(bool)


def _from_bits(bits: Any) -> Any:
    places = jnp.arange(_BITS, dtype=jnp.uint32)
    words = (bits.astype(jnp.uint32) << places).sum(-1, dtype=jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.int32)


def _check(indices: Any, rows: Any, num_rows: Any) -> None:
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise errors.type_error(
            "RowSparse",
            "`indices` must be integers",
            errors.shown(indices),
            "Pass the ids of the rows.",
        )
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        raise errors.type_error(
            "RowSparse",
            "`rows` must be a floating array",
            errors.shown(rows),
            "Pass the gradients of the rows.",
        )
    if indices.ndim != 1 or rows.shape[:1] != indices.shape:
        raise errors.AdamxError(
            f"RowSparse: there must be one row for each index, got indices of shape "
            f"{indices.shape} and rows of shape {rows.shape}. Reshape them to (k,) and "
            f"(k, ...)."
        )
    whole = isinstance(num_rows, int | np.integer) and not isinstance(num_rows, bool)
    if not whole or not 0 < num_rows < 2**31:
        raise errors.AdamxError(
            f"RowSparse: `num_rows` must be an integer in [1, 2**31), got "
            f"{errors.shown(num_rows)}. Pass table.shape[0]."
        )
    if isinstance(indices, Tracer) or not indices.size:
        return
    with jax.ensure_compile_time_eval():  # also where the ids are constants of a jit
        largest = int(indices.max())
    if largest > num_rows:
        raise errors.AdamxError(
            f"RowSparse: every index must be at most num_rows={num_rows}, got "
            f"{largest}. An index that is negative or num_rows is padding."
        )


# ---- rows of tables ----------------------------------------------------------


def _sharding(x: Any, rows: bool) -> Any:
    """Return the sharding of `x` or of its rows, if its mesh is explicit, or None."""
    sharding = jax.typeof(x).sharding
    mesh = sharding.mesh
    if mesh.empty or not mesh.are_all_axes_explicit:
        return None
    spec = jax.sharding.PartitionSpec(None, *sharding.spec[1:])
    return jax.sharding.NamedSharding(mesh, spec) if rows else sharding


def take_rows(table: Array, indices: Array) -> Array:
    """Return the rows at indices, none negative; zeros at those outside."""
    rows = table.at[indices].get(
        mode="fill",
        fill_value=0,
        out_sharding=_sharding(table, True),
    )
    if table.dtype == bool:
        return rows
    # On a CPU, LLVM would make a call of a loop that only copies, which waits for the
    # memory of one row after another: it does not know that this is a product by one.
    ones = (indices >= 0).astype(table.dtype).reshape(-1, *[1] * (table.ndim - 1))
    return jax.lax.optimization_barrier(rows * ones)


def put_rows(table: Array, indices: Array, rows: Array) -> Array:
    """Return the table with other rows at indices, each once."""
    return _scattered("set", table, indices, rows)


def add_rows(table: Array, indices: Array, rows: Array) -> Array:
    """Return the table with rows added at indices, each once."""
    return _scattered("add", table, indices, rows)


def _scattered(method: str, table: Array, indices: Array, rows: Array) -> Array:
    def run(table: Array, indices: Array, rows: Array) -> Array:
        return getattr(table.at[indices], method)(
            rows, mode="drop", unique_indices=True
        )

    return _laid_out(run, _sharding(table, False), table, indices, rows)


def _laid_out(run: Callable[..., Array], sharding: Any, *arrays: Array) -> Array:
    """Return `run(*arrays)`, on Explicit axes with this sharding."""
    if sharding is None:
        return run(*arrays)
    run_auto: Any = jax.sharding.auto_axes(run, out_sharding=sharding)
    return run_auto(*arrays)
