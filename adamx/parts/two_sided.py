"""Leaves as matrices with a statistic for each side: the base of Shampoo, SOAP, PSGD.

A matrix may be cut in blocks, each with its own statistics. The blocks of a leaf are
one stack: a rule is written for one matrix, and mapped over the stack.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import option
from ..engine.rule import Rule
from ..engine.state import Slots
from ..numerics.matrices import HIGHEST, product
from ..numerics.sharding import as_piece, as_whole, unsharded
from ..numerics.splits import whole_shape

SIDES = ("left", "right")
ONE_SIDED = (None, "smaller", *SIDES)


class Blocks(NamedTuple):
    """A matrix as a grid of blocks of one shape, the last ones filled up with zeros."""

    matrix: tuple[int, int]
    block: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        return tuple(-(-n // b) for n, b in zip(self.matrix, self.block, strict=True))  # pyright: ignore[reportReturnType]

    @property
    def number(self) -> int:
        return math.prod(self.grid)

    def stack(self, x: Float[Array, "rows columns"]) -> Float[Array, "k m n"]:
        """Cut a matrix, row of blocks by row of blocks."""
        (rows, columns), (m, n) = self.grid, self.block
        filled = (rows * m - self.matrix[0], columns * n - self.matrix[1])
        x = jnp.pad(x, [(0, end) for end in filled])
        return x.reshape(rows, m, columns, n).swapaxes(1, 2).reshape(-1, m, n)

    def unstack(self, x: Float[Array, "k m n"]) -> Float[Array, "rows columns"]:
        """Put the blocks together again."""
        (rows, columns), (m, n) = self.grid, self.block
        x = x.reshape(rows, columns, m, n).swapaxes(1, 2)
        x = x.reshape(rows * m, columns * n)
        return x[: self.matrix[0], : self.matrix[1]]

    def lengths(self, dtype: Any) -> tuple[Any, Any]:
        """Return how much of each block is no filling, for each of its sides.

        That is an int where all blocks are full, else an array of a number for each.
        """
        each = []
        for n, b, blocks in zip(self.matrix, self.block, self.grid, strict=True):
            full = np.minimum(b, n - b * np.arange(blocks))
            each.append(b if n % b == 0 else full)
        rows, columns = each
        if not isinstance(rows, int):
            rows = jnp.asarray(np.repeat(rows, self.grid[1]), dtype)
        if not isinstance(columns, int):
            columns = jnp.asarray(np.tile(columns, self.grid[0]), dtype)
        return rows, columns


class _AsMatrix(Rule):
    """A rule that sees a leaf as a matrix, of its last axis against the others.

    A vector is a matrix of one column. Inside `shard_map` the shards along the first
    axis are gathered, over the mesh axis `axis_name`.
    """

    scope = "tensor"

    axis_name: Any = option(None)

    def _matrix_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the shape of the whole matrix, given that of the leaf or its shard."""
        if not shape:
            return (1, 1)
        shape = whole_shape(shape, self.axis_name)
        columns = shape[-1] if len(shape) >= 2 else 1
        return math.prod(shape) // max(columns, 1) if columns else 0, columns

    def _matrix(self, x: Any) -> Any:
        if x.ndim == 0:
            return x[None, None]
        x = as_whole(x, self.axis_name)
        return x.reshape(-1, x.shape[-1] if x.ndim >= 2 else 1)

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

    def _has_sides(self, shape: tuple[int, ...]) -> tuple[bool, bool]:
        """Return which sides of a leaf may have a statistic: those of matrices."""
        if len(shape) < 2:
            return (False, False)
        if self.one_sided is None:
            return (True, True)
        rows, columns = self._matrix_shape(shape)
        smaller = "left" if rows <= columns else "right"
        side = smaller if self.one_sided == "smaller" else self.one_sided
        return (side == "left", side == "right")

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the lengths of the sides that have a statistic, 0 for none."""
        sizes = zip(self._matrix_shape(shape), self._has_sides(shape), strict=True)
        return tuple(n if has and n <= self.max_dim else 0 for n, has in sizes)  # pyright: ignore[reportReturnType]

    def _blocks(self, shape: tuple[int, ...]) -> Blocks:
        """Return how a leaf is cut: along the sides that have a statistic."""
        matrix = self._matrix_shape(shape)
        pieces = zip(matrix, self._sides(shape), strict=True)
        most = self.block_size
        cut = tuple(min(n, most) if most and kept else n for n, kept in pieces)
        return Blocks(matrix, cut)  # pyright: ignore[reportArgumentType]

    def _each_block(self, of_block: Callable[[tuple[int, int]], tuple]) -> Any:
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
        names = [n for n, s in declared if n.startswith(SIDES) and not s.shared]
        return {name: unsharded(slots[name]) for name in names}

    def _square(self, side: int) -> Any:
        """Return the shape of the statistic of one side."""

        def like(p: Any) -> Any:
            def square(block: tuple[int, int]) -> tuple:
                n = block[side] if self._sides(p.shape)[side] else 0
                return (n, n) if n else (0,)

            return self._each_block(square)(p)

        return like

    def _rotated(self, x: Array, bases: Sequence[Array], back: bool = False) -> Array:
        """Compute Q_Lᵀ X Q_R, or Q_L X Q_Rᵀ; without a basis a side is left alone."""
        left, right = (q.T if back and q.ndim == 2 else q for q in bases)
        x = product(left.T, x, self.precision) if left.ndim == 2 else x
        return product(x, right, self.precision) if right.ndim == 2 else x

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
