"""The points of a sweep: columns of equal length, one row for each point."""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import errors


def axes(grid: Any) -> dict[str, np.ndarray]:
    """Return the grid as arrays of float64, checked.

    Raises:
        ValueError: no name, or values that are empty, not in one dimension, not
            finite or there twice.
        TypeError: no mapping, or values that are no real numbers.
    """
    if not isinstance(grid, Mapping):
        raise errors.type_error(
            "sweep",
            "`grid` must be a dict of hyperparameters",
            errors.shown(grid),
            'Write {"learning_rate": jnp.logspace(-4, 0, 16)}.',
        )
    if not grid:
        raise errors.AdamxError(
            "sweep: `grid` must have at least one hyperparameter, got none. Write "
            '{"learning_rate": jnp.logspace(-4, 0, 16)}.'
        )
    return {name: _axis(name, values) for name, values in grid.items()}


def _axis(name: Any, values: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise errors.type_error(
            "sweep",
            "every name of `grid` must be text",
            repr(name),
            'Write {"learning_rate": ...}.',
        )
    try:
        found = np.asarray(values)
    except (TypeError, ValueError):
        found = np.asarray(None)
    # Types outside of NumPy, such as bfloat16, have a kind of their own.
    kind = found.dtype.kind
    if kind not in "iufV" or found.dtype.fields:
        raise errors.type_error(
            "sweep",
            f"the values of `{name}` must be real numbers",
            errors.shown(values),
            "Strings, bools and masks cannot be swept in one program: call sweep once "
            "for each.",
        )
    # The shortest decimal of a float32 is what was meant by it.
    exact = kind == "f" and found.dtype.itemsize < 8
    found = np.asarray(
        [float(str(x)) for x in found.ravel()] if exact else found.ravel(), np.float64
    ).reshape(found.shape)
    if found.ndim != 1:
        raise errors.AdamxError(
            f"sweep: the values of `{name}` must have one dimension, got shape "
            f"{found.shape}. Pass a list or a 1-D array."
        )
    if not found.size:
        raise errors.AdamxError(
            f"sweep: the values of `{name}` must be at least one, got an empty array. "
            f"Leave the name out to keep its default."
        )
    if not np.isfinite(found).all():
        bad = found[~np.isfinite(found)][0]
        raise errors.AdamxError(
            f"sweep: the values of `{name}` must be finite, got {bad}. Remove it."
        )
    return found


def columns(grid: dict[str, np.ndarray], product: bool) -> dict[str, np.ndarray]:
    """Return one row for each point: all combinations, or the rows as they are.

    Raises:
        ValueError: rows are wanted, and the arrays differ in length; or combinations
            are, and a value is there twice.
    """
    lengths = {name: len(values) for name, values in grid.items()}
    if not product:
        if len(set(lengths.values())) > 1:
            raise errors.AdamxError(
                f"sweep: with product=False all values of `grid` must be equally many, "
                f"got {lengths}. Row i of each is point i."
            )
        return grid
    for name, values in grid.items():
        if len(np.unique(values)) < len(values):
            raise errors.AdamxError(
                f"sweep: the values of `{name}` must differ, got one twice. Repeat a "
                f"training with `seeds`, or list points with product=False."
            )
    mesh = np.meshgrid(*grid.values(), indexing="ij")
    return {name: part.ravel() for name, part in zip(grid, mesh, strict=True)}


def seed_numbers(seeds: Any) -> np.ndarray:
    """Return the seeds: 0 … n - 1 for a number n, else those that are listed.

    Raises:
        ValueError: no seed, a seed below 0 or from 2³² on, or one twice.
        TypeError: neither an integer nor integers in one dimension.
    """
    remedy = "Write seeds=3, or seeds=[0, 1, 2]."
    try:
        found = np.arange(operator.index(seeds))
    except TypeError:
        found = np.asarray(seeds)
    integers = found.dtype.kind in "iu" or found.shape == (0,)
    if isinstance(seeds, bool) or found.ndim != 1 or not integers:
        raise errors.type_error(
            "sweep",
            "`seeds` must be a number of seeds or a list of integers",
            errors.shown(seeds),
            remedy,
        )
    if not found.size:
        raise errors.AdamxError(
            f"sweep: `seeds` must be at least one, got {errors.shown(seeds)}. {remedy}"
        )
    if found.min() < 0 or found.max() >= 2**32:
        raise errors.AdamxError(
            f"sweep: `seeds` must lie in [0, 2³²), got {errors.shown(seeds)}. {remedy}"
        )
    if len(np.unique(found)) < len(found):
        raise errors.AdamxError(
            f"sweep: `seeds` must differ, got {errors.shown(seeds)}. {remedy}"
        )
    return found.astype(np.uint32)
