"""The factored second moment of torch's Adafactor, which is over torch's last two axes.

The rows and columns of adamx are the same two axes wherever they stand in the leaf: of
a kernel (height, width, in, out) the first two, of a transposed matrix its columns and
rows.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ... import errors
from ...engine.transformation import Transformation
from ...parts.factored import FactoredSecondMoment
from ...parts.matrix_axes import MatrixAxes
from .names import Weight

KEYS = ("row_var", "col_var")
"""The means over torch's last axis, and over the one before it."""


def reduced_axis(key: str, weight: Weight, ndim: int) -> int:
    """Return the axis of a leaf over which torch's `key` is the mean."""
    axis = ndim - 1 if key == "row_var" else ndim - 2
    return axis if weight.axes is None else weight.axes.index(axis)


def factored_axes(weight: Weight, ndim: int) -> MatrixAxes | None:
    """Return the axes that adamx is to factor, None for the last two of a leaf."""
    sides = sorted(reduced_axis(key, weight, ndim) for key in KEYS)
    return None if sides == [ndim - 2, ndim - 1] else MatrixAxes(*sides)


def slot_of(key: str, weight: Weight, ndim: int) -> str:
    """Return the slot of `key`: the mean over the rows' axis is that of the columns."""
    axis = reduced_axis(key, weight, ndim)
    last = max(reduced_axis(k, weight, ndim) for k in KEYS)
    return "nu_row" if axis == last else "nu_col"


def mean_from_torch(key: str, weight: Weight, array: np.ndarray, leaf: Any) -> Any:
    """Return torch's means, which keep an axis of length 1, as those of a leaf."""
    axis = reduced_axis(key, weight, leaf.ndim)
    shape = tuple(1 if a == axis else n for a, n in enumerate(leaf.shape))
    turned = array
    if weight.axes is not None and array.ndim == leaf.ndim:
        turned = np.transpose(array, weight.axes)
    if turned.shape != shape:
        raise errors.AdamxError(
            f"state_from_torch: `{key}` of `{weight.path}` must be the means of a "
            f"leaf of shape {leaf.shape}, got the shape {array.shape}. Pass "
            f"Adafactor's own state_dict."
        )
    return jnp.asarray(np.squeeze(turned, axis))


def mean_to_torch(key: str, weight: Weight, value: Any) -> np.ndarray:
    """Invert `mean_from_torch`."""
    array = np.asarray(value)
    axis = reduced_axis(key, weight, array.ndim + 1)
    return weight.to_torch(np.expand_dims(array, axis))


def check_factors(where: str, own: Any, weight: Weight, leaf: Any) -> None:
    """Raise an error unless `own` factors the axes of a leaf that torch factors."""
    if leaf.ndim < 3:
        return
    wanted = tuple(sorted(reduced_axis(key, weight, leaf.ndim) for key in KEYS))
    for moment in _moments(own):
        rows, columns = moment.sides(leaf.shape)
        if (*rows, *columns) != wanted:
            raise errors.AdamxError(
                f"{where}: `tx` must factor the axes {wanted} of `{weight.path}`, of "
                f"shape {leaf.shape}, as torch does, got the rows {rows} and the "
                f"columns {columns}. Pass axes=MatrixAxes{wanted} to adafactor, or use "
                f"transformation(optimizers, params, names)."
            )


def _moments(x: Any) -> Iterator[FactoredSecondMoment]:
    if isinstance(x, FactoredSecondMoment):
        yield x
    elif isinstance(x, Transformation):  # which is a tuple too, for Optax
        for name in x._fields:
            yield from _moments(getattr(x, name))
    elif isinstance(x, tuple):
        for each in x:
            yield from _moments(each)
