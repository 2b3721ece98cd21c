"""Which axes of an array are the rows, the columns and the batch of its matrices.

A kernel is a matrix for the layer that multiplies by it, whatever its axes are: those
that the layer sums over are its rows, those that it makes its columns, and the others a
batch of separate matrices.
"""

import math
from typing import Any, NamedTuple

from jaxtyping import Array

from .. import errors
from ..engine.hyperparams import check_fields, option
from ..engine.value import Value

_SPLIT = "Pass for example 3 for query, key and value in one kernel."


class MatrixAxes(Value):
    """Say which axes of an array are rows, columns and batch; the order is kept.

    `MatrixAxes(0, (1, 2))` sees (d, heads, head_dim) as d × heads·head_dim,
    `MatrixAxes(0, 2, batch=1)` as one matrix d × head_dim for each head, and
    `MatrixAxes((0, 1, 2), 3)` a convolution (height, width, in, out) as out × the rest.
    `MatrixAxes(split_columns=3)` sees a fused kernel (d, 3 d) as the query, the key and
    the value, `MatrixAxes(split_columns=3 * heads)` as those of each head.

    Args:
        rows: the axes of the rows, an int or several; the inputs of a JAX kernel.
        columns: those of the columns; the outputs.
        batch: those along which there are separate matrices; None for all others.
        split_rows: into how many matrices of consecutive rows each is cut, at least 1.
        split_columns: the same for the columns. Blocks of different widths have no
            number: cut them into heads, which have one width.

    Raises:
        ValueError: no row, no column, an axis twice; a split of less than 1; for an
            array without the axes, or with more, or that a split does not divide: where
            it is used.
    """

    rows: Any = (0,)
    columns: Any = (1,)
    batch: Any = None
    split_rows: int = option(1, least=1, kw_only=False, advice=_SPLIT)
    split_columns: int = option(1, least=1, kw_only=False, advice=_SPLIT)

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("rows", "columns", "batch"):
            given = getattr(self, name)
            if given is not None or name != "batch":
                object.__setattr__(self, name, _axes(name, given))
        if not (self.rows and self.columns):
            raise errors.AdamxError(
                f"MatrixAxes: a matrix must have rows and columns, got {self!r}. Name "
                f"at least one axis for each."
            )

    def of_stack(self) -> "MatrixAxes":
        """Return these axes, counted from 0, behind a first one of batch."""
        rows, columns = (tuple(a + 1 for a in x) for x in (self.rows, self.columns))
        batch = None if self.batch is None else (0, *(a + 1 for a in self.batch))
        return MatrixAxes(rows, columns, batch, self.split_rows, self.split_columns)

    def of(self, shape: tuple[int, ...], where: str = "MatrixAxes") -> "Layout":
        """Return the axes of an array of this shape, counted from 0, or raise."""
        layout = self._counted(shape, where)
        for side in ("rows", "columns"):
            size = math.prod(shape[a] for a in getattr(layout, side))
            parts = getattr(self, f"split_{side}")
            if size % parts:
                raise errors.AdamxError(
                    f"{where}: `split_{side}` must divide the {side}, got {parts} for "
                    f"the {size} {side} of the shape {shape}. Pass the number of "
                    f"blocks of one width, such as 3 or 3 * heads."
                )
        return layout

    def _counted(self, shape: tuple[int, ...], where: str) -> "Layout":
        n = len(shape)
        named = [*self.rows, *self.columns, *(self.batch or ())]
        absent = [axis for axis in named if not -n <= axis < n]
        if absent:
            raise errors.AdamxError(
                f"{where}: every axis must be in the array, got axis {absent[0]} of "
                f"{self!r} for the shape {shape}. It has the axes 0 to {n - 1}."
            )
        rows, columns = (tuple(a % n for a in x) for x in (self.rows, self.columns))
        rest = tuple(a for a in range(n) if a not in (*rows, *columns))
        batch = rest if self.batch is None else tuple(a % n for a in self.batch)
        if sorted((*batch, *rows, *columns)) != list(range(n)):
            raise errors.AdamxError(
                f"{where}: every axis must be named once, got {self!r} for the shape "
                f"{shape}. Leave batch=None for all axes that are neither rows nor "
                f"columns."
            )
        return Layout(shape, batch, rows, columns, self.split_rows, self.split_columns)


class Layout(NamedTuple):
    """The axes of one array: how it becomes a stack of matrices, and back."""

    shape: tuple[int, ...]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    split_rows: int = 1
    split_columns: int = 1

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of matrices, and of their rows and columns."""
        k, _, m, _, n = self._blocks
        return k * self._parts, m, n

    @property
    def apart(self) -> tuple[int, ...]:
        """The axis of the array along which devices may have different matrices."""
        return self.batch if len(self.batch) == 1 else ()

    @property
    def is_folded(self) -> bool:
        """Whether axes are merged or cut: the stack is no mere transposition."""
        groups = self.batch, self.rows, self.columns
        return self._parts > 1 or any(len(axes) > 1 for axes in groups)

    def without(self, *sides: str) -> "Layout":
        """Return the axes of an array with one number for each sum over `sides`.

        These are "rows" and "columns". Of the axes of a side 1 is left, or as many as
        the matrices into which it is cut.
        """
        shape = list(self.shape)
        for side in sides:
            first, *others = getattr(self, side)
            shape[first] = getattr(self, f"split_{side}")
            for axis in others:
                shape[axis] = 1
        return self._replace(shape=tuple(shape))

    def stack(self, x: Array) -> Array:
        """Return the array as a stack (batch, rows, columns)."""
        moved = x.transpose(self._order)
        if self._parts > 1:
            moved = moved.reshape(self._blocks).transpose(_OUTER)
        return moved.reshape(self.sizes)

    def unstack(self, x: Array) -> Array:
        """Invert `stack`."""
        order = self._order
        if self._parts > 1:
            blocks = self._blocks
            x = x.reshape([blocks[a] for a in _OUTER]).transpose(_OUTER)
        moved = x.reshape([self.shape[a] for a in order])
        return moved.transpose([order.index(a) for a in range(len(order))])

    @property
    def _parts(self) -> int:
        """Into how many matrices each is cut."""
        return self.split_rows * self.split_columns

    @property
    def _order(self) -> tuple[int, ...]:
        return (*self.batch, *self.rows, *self.columns)

    @property
    def _blocks(self) -> tuple[int, int, int, int, int]:
        """The batch, and the blocks of the rows and columns with their sizes."""
        k, m, n = (
            math.prod(self.shape[a] for a in axes)
            for axes in (self.batch, self.rows, self.columns)
        )
        each = m // self.split_rows, n // self.split_columns
        return k, self.split_rows, each[0], self.split_columns, each[1]


_OUTER = (0, 1, 3, 2, 4)
"""The blocks of the columns before the rows of a block; its own inverse."""


def _axes(name: str, given: Any) -> tuple[int, ...]:
    axes = given if isinstance(given, tuple | list) else (given,)
    if not all(isinstance(a, int) and not isinstance(a, bool) for a in axes):
        raise errors.type_error(
            "MatrixAxes",
            f"`{name}` must be an axis or a tuple of axes",
            errors.shown(given),
            "Pass for example (0,) or -1.",
        )
    return tuple(axes)
