"""Leaves as matrices with a statistic for each side: the base of Shampoo, SOAP, PSGD.

A matrix may be cut in blocks, each with its own statistics. The blocks of a leaf are
one stack: a rule is written for one matrix, and mapped over the stack. A leaf of more
axes may be a tensor with a statistic for each axis.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import option
from ..engine.rule import Rule
from ..engine.state import Slots
from ..numerics.matrices import HIGHEST, orthonormal_in_turn, product
from ..numerics.sharding import as_piece, as_whole, unsharded
from ..numerics.splits import whole_shape
from .matrix_views import MatrixView, Named, Shape, as_stored, merged_axes
from .side_views import seen_from_sides

SIDES = ("left", "right")
AXES = (*SIDES, "axis_2", "axis_3", "axis_4", "axis_5")
ONE_SIDED = (None, "smaller", *SIDES)


class Blocks(NamedTuple):
    """A matrix as a grid of blocks of one shape, the last ones filled up with zeros.

    A tensor of more axes likewise.
    """

    matrix: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(-(-n // b) for n, b in zip(self.matrix, self.block, strict=True))

    @property
    def number(self) -> int:
        return math.prod(self.grid)

    def stack(self, x: Float[Array, "..."]) -> Float[Array, "k ..."]:
        """Cut a matrix, row of blocks by row of blocks."""
        each = list(zip(self.grid, self.block, self.matrix, strict=True))
        x = jnp.pad(x, [(0, blocks * b - n) for blocks, b, n in each])
        x = x.reshape([n for blocks, b, _ in each for n in (blocks, b)])
        return x.transpose(self._apart).reshape(-1, *self.block)

    def unstack(self, x: Float[Array, "k ..."]) -> Float[Array, "..."]:
        """Put the blocks together again."""
        x = x.reshape(*self.grid, *self.block)
        x = x.transpose([self._apart.index(i) for i in range(x.ndim)])
        filled = [k * b for k, b in zip(self.grid, self.block, strict=True)]
        return x.reshape(filled)[tuple(slice(n) for n in self.matrix)]

    def lengths(self, dtype: Any) -> tuple[Any, ...]:
        """Return how much of each block is no filling, for each of its sides.

        That is an int where all blocks are full, else an array of a number for each.
        """
        found: list[Any] = []
        for axis, (n, b) in enumerate(zip(self.matrix, self.block, strict=True)):
            blocks = self.grid[axis]
            full = np.minimum(b, n - b * np.arange(blocks))
            along_axis = [blocks if i == axis else 1 for i in range(len(self.grid))]
            each = np.broadcast_to(full.reshape(along_axis), self.grid)
            found.append(b if n % b == 0 else jnp.asarray(each.ravel(), dtype))
        return tuple(found)

    @property
    def _apart(self) -> tuple[int, ...]:
        """The axes of the grid before those of a block."""
        n = 2 * len(self.grid)
        return (*range(0, n, 2), *range(1, n, 2))


class _AsMatrix(Rule):
    """A rule that sees a leaf as a matrix, of its last axis against the others.

    A vector is a matrix of one column. Inside `shard_map` the shards along the first
    axis are gathered, over the mesh axis `axis_name`.
    """

    scope = "tensor"

    axis_name: Any = option(None)

    def _matrix_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the whole matrix, given that of the leaf or its shard."""
        if not shape:
            return (1, 1)
        shape = whole_shape(shape, self.axis_name)
        columns = shape[-1] if len(shape) >= 2 else 1
        return math.prod(shape) // max(columns, 1) if columns else 0, columns

    def _matrix(self, x: Any) -> Any:
        if x.ndim == 0:
            return x[None, None]
        return as_whole(x, self.axis_name).reshape(self._matrix_shape(x.shape))

    def _own(self, x: Any, like: Any) -> Any:
        """Return a matrix as a leaf, or as the shard that belongs to this device."""
        if like.ndim == 0:
            return x.reshape(())
        shape = whole_shape(like.shape, self.axis_name)
        return as_piece(x.reshape(shape), self.axis_name, like)


class _TwoSided(_AsMatrix):
    """Keep a left and a right statistic of each matrix, or of each of its blocks.

    Args:
        max_dim: a side of the matrix longer than this has no statistic.
        block_size: a side that has a statistic is cut into pieces of this length; the
            last one is shorter.
        one_sided: the only side of a matrix that has a statistic: "left", "right" or
            "smaller" (of two equal ones the left); None for both.
        precision: that of every product: a `jax.lax.Precision`, its name, or a dtype to
            which the operands are rounded.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.
    """

    plan_names: ClassVar[tuple[str, str]] = ("", "")
    """What it does in `matrix_plan`: to a side's matrix, and without a statistic."""

    max_dim: int = option(10_000, least=1)
    block_size: int | None = option(None, least=1)
    one_sided: str | None = option(None)
    precision: Any = option(HIGHEST)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.one_sided not in ONE_SIDED:
            raise errors.AdamxError(
                f"{type(self).__name__}: `one_sided` must be None, 'smaller', 'left' "
                f"or 'right', got {self.one_sided!r}. None has a statistic for both "
                f"sides of a matrix."
            )

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        return seen_from_sides(self, tuple(leaf.shape))

    def _names(self, ndim: int | None = None) -> tuple[str, ...]:
        """Return the names of the sides, or axes, of a tensor of `ndim`, or of all."""
        return SIDES[:ndim]

    def _axes(self, shape: Shape) -> tuple[Shape, ...]:
        """Return the axes of a leaf of which each side is made."""
        return as_stored(shape)

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, ...]:
        """Return which sides of a leaf may have a statistic: those of matrices."""
        if len(shape) < 2:
            return (False, False)
        if self.one_sided is None:
            return (True, True)
        rows, columns = self._matrix_shape(shape)
        smaller = "left" if rows <= columns else "right"
        side = smaller if self.one_sided == "smaller" else self.one_sided
        return (side == "left", side == "right")

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the lengths of the sides that have a statistic, 0 for none."""
        sizes = zip(self._matrix_shape(shape), self._has_sides(shape), strict=True)
        return tuple(n if has and n <= self.max_dim else 0 for n, has in sizes)

    def _blocks(self, shape: tuple[int, ...]) -> Blocks:
        """Return how a leaf is cut: along the sides that have a statistic."""
        matrix = self._matrix_shape(shape)
        pieces = zip(matrix, self._sides(shape), strict=True)
        most = self.block_size
        cut = tuple(min(n, most) if most and kept else n for n, kept in pieces)
        return Blocks(matrix, cut)

    def _each_block(self, of_block: Callable[[tuple[int, ...]], tuple]) -> Any:
        """Return a slot's shape from that for a block, whose sides are given."""

        def like(p: Any) -> Any:
            cut = self._blocks(p.shape)
            shape = of_block(cut.block)
            return jnp.zeros(
                shape if cut.number == 1 else (cut.number, *shape), p.dtype
            )

        return like

    def _of_sides(self, slots: Slots) -> Slots:
        """Return the slots that belong to a side, on every device."""
        declared = self.slots().items()
        names = [n for n, s in declared if n.startswith(AXES) and not s.shared]
        return {name: unsharded(slots[name]) for name in names}

    def _square(self, side: int) -> Any:
        """Return the shape of the statistic of one side."""

        def like(p: Any) -> Any:
            def square(block: tuple[int, ...]) -> tuple:
                has = side < len(block) and self._sides(p.shape)[side]
                return (block[side], block[side]) if has else (0,)

            return self._each_block(square)(p)

        return like

    def _rotated(self, x: Array, bases: Sequence[Array], back: bool = False) -> Array:
        """Compute Q_Lᵀ X Q_R, or Q_L X Q_Rᵀ; without a basis a side is left alone."""
        for axis, q in enumerate(bases):
            if q.ndim == 2:
                x = along(x, axis, q.T if back else q, self.precision)
        return x

    def _mapped(
        self, step: Callable, given: Slots, slots: Slots
    ) -> tuple[Slots, Slots]:
        """Run `step(given, kept, lengths)` on a leaf as a matrix, or on its blocks.

        `given` are the update and what is like it; `kept` the slots of the sides, which
        have an axis of blocks if there are several. `lengths` says how much of each
        side is no filling. The step returns both dicts anew.
        """
        like = given["update"]
        matrices = {name: self._matrix(x) for name, x in given.items()}
        done, new = self._by_blocks(step, like.shape, matrices, self._of_sides(slots))
        return {name: self._own(x, like) for name, x in done.items()}, new

    def _by_blocks(
        self, step: Callable, shape: tuple[int, ...], matrices: Slots, kept: Slots
    ) -> tuple[Slots, Slots]:
        """Run a step of `_mapped` on the matrices, or on their blocks."""
        cut = self._blocks(shape)
        if cut.number == 1:
            return step(matrices, kept, cut.block)
        stacks = {name: cut.stack(x) for name, x in matrices.items()}
        lengths = cut.lengths(next(iter(stacks.values())).dtype)
        filled = [n for n in lengths if not isinstance(n, int)]

        def one(matrices: Slots, kept: Slots, filled: list) -> tuple[Slots, Slots]:
            known = list(filled)
            of_block = (n if isinstance(n, int) else known.pop(0) for n in lengths)
            return step(matrices, kept, tuple(of_block))

        done, new = jax.vmap(one)(stacks, kept, filled)
        return {name: cut.unstack(x) for name, x in done.items()}, new


class _ManySided(_TwoSided):
    """Keep a statistic for each axis of a tensor, if wanted.

    Args:
        merge_dims: None for the matrix of the last axis against the others. False for a
            statistic for each axis of a leaf of two axes or more. True for one for each
            group of axes that follow each other, of at most `max_dim` in all.
    """

    merge_dims: bool | None = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge_dims is not None and self.one_sided is not None:
            raise errors.AdamxError(
                f"{type(self).__name__}: `one_sided` must be None with `merge_dims`, "
                f"got {self.one_sided!r} and {self.merge_dims}. One side is that of a "
                f"matrix: leave `merge_dims` out, or `one_sided`."
            )

    def _names(self, ndim: int | None = None) -> tuple[str, ...]:
        """Return the names of the sides, or axes, of a tensor of `ndim`, or of all."""
        return (SIDES if self.merge_dims is None else AXES)[:ndim]

    def _axes(self, shape: Shape) -> tuple[Shape, ...]:
        if self.merge_dims is None or len(shape) < 2:
            return super()._axes(shape)
        each = [(axis,) for axis in range(len(shape))]
        axes = merged_axes(shape, self.max_dim) if self.merge_dims else each
        return (*axes, ()) if len(axes) == 1 else tuple(axes)

    def _matrix_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.merge_dims is None or len(shape) < 2:
            return super()._matrix_shape(shape)
        whole = whole_shape(shape, self.axis_name)
        dims = merged(whole, self.max_dim) if self.merge_dims else whole
        if len(dims) > len(AXES):
            raise errors.AdamxError(
                f"{type(self).__name__}: a leaf must have at most {len(AXES)} axes "
                f"with a statistic each, got {len(dims)} of the shape {shape}. "
                f"Reshape the leaf, merge axes if merge_dims=True is known here, or "
                f"leave `merge_dims` out."
            )
        return dims if len(dims) > 1 else (*dims, 1)

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, ...]:
        if self.merge_dims is None or len(shape) < 2:
            return super()._has_sides(shape)
        dims = self._matrix_shape(shape)
        one = self.merge_dims and len(dims) == 2 and len(merged(dims, self.max_dim)) < 2
        return (True, False) if one else (True,) * len(dims)


def merged(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Merge axes that follow each other as long as their product is at most `most`."""
    groups = merged_axes(shape, most)
    return tuple(math.prod(shape[axis] for axis in group) for group in groups)


def unfolded(x: Array, axis: int) -> Array:
    """Return a tensor as the matrix of an axis against the others."""
    n = x.shape[axis]
    if axis == x.ndim - 1:
        return x.reshape(-1, n).T
    return jnp.moveaxis(x, axis, 0).reshape(n, -1)


def along(x: Array, axis: int, q: Array, precision: Any) -> Array:
    """Multiply every fibre of a tensor along an axis by Qᵀ: of a matrix Qᵀ X or X Q."""
    if axis == 0:
        new = product(q.T, x.reshape(len(q), -1), precision)
        return new.reshape(-1, *x.shape[1:])
    moved = jnp.moveaxis(x, axis, -1)
    new = product(moved.reshape(-1, len(q)), q, precision)
    return jnp.moveaxis(new.reshape(*moved.shape[:-1], -1), -1, axis)


def filling(length: Any, n: int) -> Array | None:
    """Return where a side of n is filled up, None if it is not."""
    if isinstance(length, int):
        return None
    return jnp.arange(n, dtype=length.dtype) >= length


def with_filling(h: Any, empty: Any, sign: int) -> Any:
    """Give a statistic an eigenvalue of either sign where a block is filled up."""
    if empty is None:
        return h
    trace = jnp.trace(h)
    size = sign * jnp.where(trace > 0, trace, 1)
    return h + jnp.diag(jnp.where(empty, size, 0))


def eigenbasis(h: Any, empty: Any) -> Any:
    """Return the eigenvectors of a statistic, that of the largest eigenvalue first.

    Those of the filling, which is where `empty` is, are the last ones.
    """
    vectors = jnp.linalg.eigh(with_filling(h, empty, -1))[1]
    return unmixed(vectors[:, ::-1], empty)


def unmixed(q: Any, empty: Any) -> Any:
    """Set to 0 what rounding has mixed of a block and its filling."""
    return q if empty is None else jnp.where(empty[:, None] == empty[None], q, 0)


def refreshed(
    rule: Any, count: Any, statistics: list, bases: list, v: Any, empty: list
) -> tuple[list, Any]:
    """Return SOAP's bases for the next step, and v in the order of their columns.

    `rule` says when (`precondition_frequency`) and how (`sort`, `precision`). `empty`
    says for each side where a block is filled up, or None: the columns of the filling
    stay the last ones, and are not mixed with others.
    """
    fixed = [jax.lax.stop_gradient(h) for h in statistics]
    live = [side for side, q in enumerate(bases) if q.ndim == 2]

    def keep(bases: list, v: Any) -> tuple[list, Any]:
        return bases, v

    def begin(bases: list, v: Any) -> tuple[list, Any]:
        new = list(bases)
        for side in live:
            new[side] = eigenbasis(fixed[side], empty[side])
        return new, v

    def iterate(bases: list, v: Any) -> tuple[list, Any]:
        new = list(bases)
        for side in live:
            h, q = fixed[side], bases[side]
            if rule.sort:
                sizes = jnp.sum(q * product(h, q, rule.precision), 0)
                if empty[side] is not None:
                    sizes = jnp.where(empty[side], -jnp.inf, sizes)
                order = jnp.argsort(-sizes)
                q, v = q[:, order], jnp.take(v, order, side)
            h = with_filling(h, empty[side], 1)
            q = orthonormal_in_turn(product(h, q, rule.precision))
            new[side] = unmixed(q, empty[side])
        return new, v

    due = (count - 1) % rule.precondition_frequency == 0
    index = jnp.where(count == 1, 1, jnp.where(due, 2, 0))
    held = [jax.lax.stop_gradient(q) for q in bases]
    return jax.lax.switch(index, [keep, begin, iterate], held, v)
