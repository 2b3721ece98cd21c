"""Rules on the matrices of a leaf, and their sums and norms, in the axes of the leaf.

What is summed keeps the axes of the leaf, so that devices that have pieces of the leaf
add up their pieces of the sums, and nothing is gathered. Only where a side is cut into
several matrices, a device does not know which of them it has, and the leaf is gathered.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.rule import Rule
from ..engine.state import Context
from ..numerics.arithmetic import safe_sqrt
from ..numerics.norms import norm
from ..numerics.sharding import as_piece, as_whole
from ..numerics.splits import across, along, whole_shape
from .matrix_axes import Layout, MatrixAxes
from .tree_axes import as_axes


def layout_of(rule: Rule, x: Any, axes: MatrixAxes | None) -> Layout:
    """Return the axes of a leaf, or of a slice of it inside `stacked`, or raise."""
    where = type(rule).__name__
    if axes is None:
        if x.ndim != 2:
            raise errors.AdamxError(
                f"{where}: every leaf it acts on must have two axes, got shape "
                f"{jnp.shape(x)}. Say with axes= which axes are rows and columns, give "
                f"the optimizer a mask that selects matrices only, or adamx.stacked "
                f"the leaves (layers, m, n) that are stacks of them."
            )
        axes = MatrixAxes()
    return axes.of(x.shape, where)


def whole_like(x: Any, split: Any) -> Any:
    """Return the shape and dtype of a leaf, given its shard."""
    return jax.ShapeDtypeStruct(whole_shape(x.shape, split), x.dtype)


class MatrixRule(Rule):
    """A rule on matrices, whose axes `axes` says; None for those by name."""

    scope = "tensor"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.axes  # pyright: ignore[reportAttributeAccessIssue]
        out_axis = getattr(self, "out_axis", -1)
        axes = as_axes(type(self).__name__, given, out_axis)
        object.__setattr__(self, "axes", axes)

    def _layout(self, x: Any, ctx: Context) -> Layout:
        """Return the axes of the whole leaf, of which `x` may be a shard."""
        axes = ctx.label(self.axes)  # pyright: ignore[reportAttributeAccessIssue]
        return self._layout_by(axes, x)

    def _layout_by(self, axes: MatrixAxes | None, x: Any) -> Layout:
        split = self.axis_name  # pyright: ignore[reportAttributeAccessIssue]
        return layout_of(self, whole_like(x, split), axes)

    @property
    def _inputs(self) -> str:
        """The side of the inputs, by `out_axis`."""
        out_axis = self.out_axis  # pyright: ignore[reportAttributeAccessIssue]
        return "rows" if out_axis in (-1, 1) else "columns"


class TensorRule(Rule):
    """A rule on whole tensors, or with `axes` on each matrix of a leaf with axes."""

    scope = "tensor"

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.axes  # pyright: ignore[reportAttributeAccessIssue]
        if given is not None:
            out_axis = getattr(self, "out_axis", -1)
            axes = as_axes(type(self).__name__, given, out_axis)
            object.__setattr__(self, "axes", axes)

    def _norms(self, x: Any, ctx: Context) -> "Norms":
        axes = self.axes  # pyright: ignore[reportAttributeAccessIssue]
        return self._norms_by(None if axes is None else ctx.label(axes), x)

    def _norms_by(self, axes: MatrixAxes | None, x: Any) -> "Norms":
        split = self.axis_name  # pyright: ignore[reportAttributeAccessIssue]
        if axes is None:
            return Norms(None, split)
        layout = axes.of(whole_shape(x.shape, split), type(self).__name__)
        if layout.sizes[0] == 1:
            return Norms(None, split)
        return Norms(Sums(layout, ("rows", "columns"), split), split)


class Sums(NamedTuple):
    """Sums over sides of the matrices of a leaf.

    Attributes:
        layout: the axes of the whole leaf.
        sides: "rows", "columns", or both; of "rows", there is one for each column.
        split: how the leaf is split inside `shard_map`.
    """

    layout: Layout
    sides: tuple[str, ...]
    split: Any

    @property
    def size(self) -> int:
        """The number of elements in one sum."""
        _, m, n = self.layout.sizes
        each = {"rows": m, "columns": n}
        return math.prod(each[side] for side in self.sides)

    @property
    def _cut(self) -> bool:
        return any(getattr(self.layout, f"split_{side}") > 1 for side in self.sides)

    def of(self, x: Array) -> Array:
        """Return the sums, with the axes of the leaf: those of the sides have size 1.

        Where a side is cut it has the size of the cut, and every device has all sums.
        """
        if not self._cut:
            axes = [a for side in self.sides for a in getattr(self.layout, side)]
            total = jnp.sum(x, axes, keepdims=True)
            return across(total, along(self.split, axes, x.ndim))
        full = self.layout.stack(as_whole(x, self.split, self.layout.apart))
        places = [1 + ["rows", "columns"].index(side) for side in self.sides]
        total = jnp.sum(full, places, keepdims=True)
        return self.layout.without(*self.sides).unstack(total)

    def spread(self, sums: Array, like: Array) -> Array:
        """Return for each element of a leaf its sum, or what broadcasts to it."""
        if not self._cut:
            return sums
        small = self.layout.without(*self.sides).stack(sums)
        full = self.layout.unstack(jnp.broadcast_to(small, self.layout.sizes))
        return as_piece(full, self.split, like, self.layout.apart)


class Norms(NamedTuple):
    """The norm of a tensor, or of each of its matrices if it has several.

    Attributes:
        sums: those over each matrix; None for the whole tensor.
        split: how the leaf is split inside `shard_map`.
    """

    sums: Sums | None
    split: Any

    @property
    def number(self) -> int:
        """The number of norms of the whole leaf."""
        return 1 if self.sums is None else self.sums.layout.sizes[0]

    def of(self, x: Array) -> Array:
        """Return the norm, or those of the matrices with the axes of the leaf."""
        if self.sums is None:
            return norm(x, self.split)
        return safe_sqrt(self.sums.of(x * x))

    def spread(self, norms: Array, like: Array) -> Array:
        """Return for each element of a leaf its norm, or what broadcasts to it."""
        return norms if self.sums is None else self.sums.spread(norms, like)
