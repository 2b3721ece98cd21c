"""Which axes of an array are the rows, the columns and the batch of its matrices.

A kernel is a matrix for the layer that multiplies by it, whatever its axes are: those
that the layer sums over are its rows, those that it makes its columns, and the others a
batch of separate matrices.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array
from optax.contrib import MuonDimensionNumbers

from .. import errors
from ..engine.masks import Mask, as_mask
from ..engine.paths import flatten, leaves_by_path, plain
from ..engine.value import Value

_ENDS = re.compile(
    r"embe?d|(?<!multi)(?<!multi_)(?<!multi-)head|(^|/)(wte|wpe|logits|output)(/|$)",
    re.I,
)
_VECTOR = re.compile(r"(^|/)(bias|scale)$", re.I)
_CONVOLUTION = re.compile(r"conv", re.I)
_INTO_HEADS = re.compile(r"(^|/)(query|key|value)(_proj)?/kernel$", re.I)
_FROM_HEADS = re.compile(r"(^|/)(out|o)(_proj)?/kernel$", re.I)
_FUSED = re.compile(r"(^|/)(c_attn|qkv|qkv_proj|to_qkv)/\w+$", re.I)
_EXPERTS = re.compile(r"expert|(^|/)moe(_|/)", re.I)


class MatrixAxes(Value):
    """Say which axes of an array are rows, columns and batch; the order is kept.

    `MatrixAxes(0, (1, 2))` sees (d, heads, head_dim) as d × heads·head_dim,
    `MatrixAxes(0, 2, batch=1)` as one matrix d × head_dim for each head, and
    `MatrixAxes((0, 1, 2), 3)` a convolution (height, width, in, out) as out × the rest.

    Args:
        rows: the axes of the rows, an int or several; the inputs of a JAX kernel.
        columns: those of the columns; the outputs.
        batch: those along which there are separate matrices; None for all others.

    Raises:
        ValueError: no row, no column, an axis twice; for an array without the axes, or
            with more: where it is used.
    """

    rows: Any = (0,)
    columns: Any = (1,)
    batch: Any = None

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "batch"):
            given = getattr(self, name)
            if given is not None or name != "batch":
                object.__setattr__(self, name, _axes(name, given))
        if not (self.rows and self.columns):
            raise errors.AdamxError(
                f"MatrixAxes: a matrix must have rows and columns, got {self!r}. Name "
                f"at least one axis for each."
            )

    def of_slice(self, n: int) -> "MatrixAxes | None":
        """Return the axes of a slice along the first of n axes, if that is of batch."""
        layout = self.of((1,) * n)
        if 0 not in layout.batch:
            return None
        rows, columns = (tuple(a - 1 for a in x) for x in layout[2:])
        return MatrixAxes(rows, columns, tuple(a - 1 for a in layout.batch if a))

    def of(self, shape: tuple[int, ...], where: str = "MatrixAxes") -> "Layout":
        """Return the axes of an array of this shape, counted from 0, or raise."""
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
        return Layout(shape, batch, rows, columns)


class Layout(NamedTuple):
    """The axes of one array: how it becomes a stack of matrices, and back."""

    shape: tuple[int, ...]
    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of matrices, and of their rows and columns."""
        k, m, n = (
            math.prod(self.shape[a] for a in axes)
            for axes in (self.batch, self.rows, self.columns)
        )
        return k, m, n

    def stack(self, x: Array) -> Array:
        """Return the array as a stack (batch, rows, columns)."""
        return x.transpose(self._order).reshape(self.sizes)

    def unstack(self, x: Array) -> Array:
        """Invert `stack`."""
        order = self._order
        moved = x.reshape([self.shape[a] for a in order])
        return moved.transpose([order.index(a) for a in range(len(order))])

    @property
    def _order(self) -> tuple[int, ...]:
        return (*self.batch, *self.rows, *self.columns)


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


# ---- the axes of common layers ---------------------------------------------------


def axes_by_name(path: str, leaf: Any, out_axis: int = -1) -> tuple[Any, str]:
    """Return the axes of a leaf (None: not a matrix) by its name, and the reason.

    Two axes are a matrix. Of more axes are known: attention of Flax with heads,
    `query/kernel` (d, heads, head_dim) as d × heads·head_dim and `out/kernel` back, as
    where they are one axis; `qkv` (d, 3, ...), three matrices; convolutions, `conv` in
    the path, as out × the rest; experts, `expert` or `moe`, (experts, m, n).
    """
    n = len(leaf.shape)
    if n < 2:
        return None, "fewer than two axes"
    if _ENDS.search(path):
        return None, "the path names an embedding, a head or logits"
    if _VECTOR.search(path):
        return None, "the path names a bias or a scale"
    if n == 2:
        return MatrixAxes(), "two axes"
    if _CONVOLUTION.search(path):
        last = tuple(range(n - 1)), (n - 1,)
        rows, columns = last if out_axis in (-1, 1) else ((0,), tuple(range(1, n)))
        return MatrixAxes(rows, columns), "a convolution: outputs by the rest"
    if _FUSED.search(path) and leaf.shape[1] == 3:
        rest = tuple(range(2, n))
        return MatrixAxes(0, rest, 1), "fused query, key, value: one matrix for each"
    if _EXPERTS.search(path) and n == 3:
        return MatrixAxes(1, 2, 0), "experts: one matrix for each"
    if n in (3, 4):
        more = (0,) if n == 4 else ()  # scanned layers
        if _INTO_HEADS.search(path):
            return MatrixAxes(n - 3, (n - 2, n - 1), more), "attention, into heads"
        if _FROM_HEADS.search(path):
            return MatrixAxes((n - 3, n - 2), n - 1, more), "attention, from heads"
    return None, f"{n} axes and a name that says not which: pass axes="


def hidden_matrix(path: str, leaf: Any) -> bool:
    """Select leaves that are matrices, and neither embeddings nor heads.

    Matrices are leaves with two axes, and those of more that `axes=None` of `muon`
    knows by name: attention with heads, convolutions, experts. Excluded are paths that
    contain `embed`, `embd` or `head` (but `multi_head`), or a segment wte, wpe, logits,
    output, or end in bias or scale (those of attention have an axis of heads).
    """
    return axes_by_name(path, leaf)[0] is not None


# not a callable, which optax.inject_hyperparams would take for a schedule
HIDDEN: Any = as_mask("hidden_matrix", hidden_matrix)


def hidden_two_axes(path: str, leaf: Any) -> bool:
    """Select the hidden matrices of two axes, for rules that have no `axes=`."""
    return len(leaf.shape) == 2 and hidden_matrix(path, leaf)


TWO_AXES: Any = as_mask("hidden_two_axes", hidden_two_axes)


# ---- the axes of a tree ------------------------------------------------------------


class AxesOf(Mask):
    """Give each leaf its axes: a mask that selects the leaves that have some."""

    def resolve(self, tree: Any) -> list[bool]:
        return [axes is not None for axes in self.labels(tree)]

    def labels(self, tree: Any) -> list[Any]:
        return [axes for axes, _ in self.explained(tree)]

    def explained(self, tree: Any) -> list[tuple[Any, str]]:
        """Return the axes of each leaf, None for no matrix, and the reason."""
        return [
            (None, "no leaf") if leaf is None else self.one(path, leaf)
            for path, leaf in leaves_by_path(tree)
        ]

    def as_dimension_numbers(self, tree: Any) -> Any:
        """Return Optax's dimension numbers in the structure of `tree`."""
        each = self.labels(tree)
        dims = [a and MuonDimensionNumbers(a.rows, a.columns) for a in each]
        return flatten(tree)[1].unflatten(dims)

    def one(self, path: str, leaf: Any) -> tuple[Any, str]:
        raise NotImplementedError


class AxesByName(AxesOf):
    """The axes of common layers: two axes, attention, convolutions, experts."""

    out_axis: int = -1

    def one(self, path: str, leaf: Any) -> tuple[Any, str]:
        return axes_by_name(path, leaf, self.out_axis)


class AxesByPattern(AxesOf):
    """The axes by the first pattern that is in the path; others by name."""

    patterns: tuple[tuple[str, Any], ...]
    out_axis: int = -1

    def __repr__(self) -> str:
        return repr(dict(self.patterns))

    def one(self, path: str, leaf: Any) -> tuple[Any, str]:
        for pattern, axes in self.patterns:
            if re.search(pattern, path):
                return axes, f"axes= for {pattern!r}"
        return axes_by_name(path, leaf, self.out_axis)


class AxesByFunction(AxesOf):
    """The axes by a function of path and leaf."""

    function: Callable[[str, Any], Any]

    def one(self, path: str, leaf: Any) -> tuple[Any, str]:
        return _as_axes(self.function(path, leaf)), "axes= says so"


class AxesByTree(AxesOf):
    """The axes by a tree like the parameters, or by a function that returns one."""

    tree: Any = None
    structure: Any = None

    def explained(self, tree: Any) -> list[tuple[Any, str]]:
        given = self.structure
        given = self.tree(tree) if given is None else given.unflatten(self.tree)
        leaves, treedef = flatten(tree)
        numbers = plain(treedef.unflatten(range(len(leaves))))
        try:
            spread = jax.tree.broadcast(plain(given), numbers, is_leaf=_is_axes)
        except ValueError as error:
            raise errors.AdamxError(
                f"axes: a tree of axes must have the structure of the parameters or be "
                f"a prefix of it, got another: {errors.shorten(str(error))}. Build it "
                f"with jax.tree.map over the parameters."
            ) from None
        found: list[Any] = [None] * len(leaves)
        each = jax.tree.leaves(spread, is_leaf=_is_axes)
        for i, axes in zip(jax.tree.leaves(numbers), each, strict=True):
            found[i] = _as_axes(axes)
        return [(axes, "axes= says so") for axes in found]


def _is_axes(x: Any) -> bool:
    return x is None or isinstance(x, MatrixAxes | MuonDimensionNumbers)


def _as_axes(given: Any) -> MatrixAxes | None:
    if isinstance(given, MuonDimensionNumbers):
        return MatrixAxes(given.reduction_axis, given.output_axis)
    if _is_axes(given):
        return given
    if not jax.tree.leaves(given):  # what optax.masked leaves out
        return None
    raise errors.type_error(
        "axes",
        "the axes of a leaf must be MatrixAxes, MuonDimensionNumbers or None",
        errors.shown(given),
        "Pass for example MatrixAxes(rows=0, columns=(1, 2)).",
    )


def as_axes(where: str, given: Any, out_axis: int = -1) -> Any:
    """Convert what the user gave as `axes=` to a value; None is `AxesByName()`."""
    if isinstance(given, AxesOf):
        return given
    if given is None:
        return AxesByName(out_axis)
    if _is_axes(given):
        axes = _as_axes(given)
        return AxesByPattern((("", axes),), out_axis)
    if (
        isinstance(given, dict)
        and given
        and all(_is_pattern(*x) for x in given.items())
    ):
        pairs = tuple((p, _as_axes(a)) for p, a in given.items())
        return AxesByPattern(pairs, out_axis)
    if callable(given):
        if _arguments(given) == 2:
            return AxesByFunction(given)
        return AxesByTree(given)
    leaves, structure = jax.tree.flatten(given, is_leaf=_is_axes)
    return AxesByTree(tuple(map(_as_axes, leaves)), structure)


def _is_pattern(key: Any, value: Any) -> bool:
    return isinstance(key, str) and _is_axes(value)


def _arguments(function: Any) -> int:
    code = getattr(function, "__code__", None)
    return 1 if code is None else code.co_argcount - len(function.__defaults__ or ())
