"""Rows of slots that a codec keeps: whether they are kept apart from other rows."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..numerics.row_sparse import RowSparse
from .slots import shapes_kept
from .state import Slot, is_absent


def lengthened(
    declared: list[tuple[str, Slot]], masks: frozenset, path: str, rows: RowSparse
) -> RowSparse:
    """Return the rows with padding, where a codec keeps few rows in another form.

    Raises:
        ValueError: a codec does not keep each row apart from the others.
    """
    size = given = rows.indices.shape[0]
    for name, slot in declared:
        if slot.codec is not None and masks.issuperset(slot.masks):
            size = _rows_of_codec(slot, name, path, rows.shape, size)
    if size == given:
        return rows
    padding = jnp.full(size - given, rows.num_rows, jnp.int32)
    indices = jnp.concatenate([rows.indices, padding])
    wide = jnp.pad(rows.rows, [(0, size - given)] + [(0, 0)] * (rows.ndim - 1))
    return RowSparse._made(indices, wide, rows.num_rows, rows.coalesced, rows.unique)


def _rows_of_codec(slot: Slot, name: str, path: str, shape: tuple, size: int) -> int:
    """Return the number of rows, at least `size`, that are kept as in the whole table.

    Raises:
        ValueError: a row is not kept apart from the others.
    """
    if not slot.codec or size == 0:
        return size
    n, kept = shape[0], shapes_kept(slot, shape)
    while True:
        here = shapes_kept(slot, (size, *shape[1:]))
        if all(_of_rows(kept[part], n, here[part], size) for part in kept):
            break
        if size > n:
            raise _crossing(slot, name, path, shape)
        size *= 2
    if not _keeps_rows_apart(slot, shape):
        raise _crossing(slot, name, path, shape)
    return size


def _of_rows(whole: Any, n: int, part: Any, size: int) -> bool:
    """Return whether `part` is the shape of some rows of what has the shape `whole`."""
    if whole is None or part is None:  # nothing is kept
        return whole == part
    return whole[0] == n and part == (size, *whole[1:])


@functools.lru_cache(maxsize=256)
def _keeps_rows_apart(slot: Slot, shape: tuple[int, ...]) -> bool:
    """Return whether what is kept of a row is the same beside any other rows."""
    size, kept = 2, shapes_kept(slot, shape)
    while any(
        not _of_rows(kept[part], shape[0], here, size)
        for part, here in shapes_kept(slot, (size, *shape[1:])).items()
    ):
        size *= 2
    some = np.random.default_rng(0).random((size, *shape[1:]), np.float32)
    other = some * np.where(np.arange(size) == 0, 100, 1).reshape(
        -1, *[1] * (len(shape) - 1)
    ).astype(np.float32)

    def half(shape: tuple[int, ...]) -> Any:
        return jnp.full(shape, 0.5, jnp.float32)

    codec: Any = slot.codec
    with jax.ensure_compile_time_eval():
        each = [codec.encode(jnp.asarray(x), half) for x in (some, other)]
        pairs = [(a[part], b[part]) for a, b in [each] for part in codec.parts]
        return all(
            is_absent(a) or bool((np.asarray(a)[1:] == np.asarray(b)[1:]).all())
            for a, b in pairs
        )


def _crossing(slot: Slot, name: str, path: str, shape: tuple) -> errors.AdamxError:
    width = math.prod(shape[1:])
    return errors.AdamxError(
        f"update: what is kept of a row must not depend on other rows where gradients "
        f"are row-sparse, got {slot.codec!r} of the slot `{name}` for `{path}` of "
        f"shape {shape}. Use blocks that divide a row, such as "
        f"Blockwise(block={width}), or Cast(jnp.bfloat16, 'stochastic')."
    )
