"""The axes of each leaf of a tree: by name, by pattern, by function, as a tree."""

import re
from collections.abc import Callable
from typing import Any

import jax
from optax.contrib import MuonDimensionNumbers

from .. import errors
from ..engine.masks import Mask, spread
from ..engine.paths import flatten, leaves_by_path
from .layer_axes import STACK, TWO, axes_by_name
from .matrix_axes import MatrixAxes


class AxesOf(Mask):
    """Give each leaf its axes: a mask that selects the leaves that have some."""

    def resolve(self, tree: Any) -> list[bool]:
        return [axes is not None for axes in self.labels(tree)]

    def labels(self, tree: Any) -> list[Any]:
        return [axes for axes, _ in self.explained(tree)]

    def explained(self, tree: Any) -> list[tuple[Any, str]]:
        """Return the axes of each leaf, None for no matrix, and the reason."""
        leaves = leaves_by_path(tree)
        found = [
            (None, "no leaf") if leaf is None else self.one(path, leaf)
            for path, leaf in leaves
        ]
        return _with_hints(leaves, found)

    def as_dimension_numbers(self, tree: Any) -> Any:
        """Return Optax's dimension numbers in the structure of `tree`."""
        each = self.labels(tree)
        cut = next((a for a in each if a and a.split_rows * a.split_columns > 1), None)
        if cut:
            raise errors.AdamxError(
                f"axes: Optax's dimension numbers must be whole axes, got {cut!r}. "
                f"Give Optax's muon an array for each matrix."
            )
        dims = [a and MuonDimensionNumbers(a.rows, a.columns) for a in each]
        return flatten(tree)[1].unflatten(dims)

    def one(self, path: str, leaf: Any) -> tuple[Any, str]:
        raise NotImplementedError


def _with_hints(leaves: list, found: list) -> list[tuple[Any, str]]:
    """Add to the reason for two axes how to say that the first is of layers.

    It may be if a leaf of more axes beside it has as many slices that no name explains.
    """
    stacks = {
        (path.split("/")[0], leaf.shape[0])
        for (path, leaf), (axes, _) in zip(leaves, found, strict=True)
        if axes is None and leaf is not None and len(leaf.shape) > 2
    }

    def hinted(path: str, leaf: Any, why: str) -> str:
        if not why.startswith(TWO) or STACK in why:
            return why
        if (path.split("/")[0], leaf.shape[0]) not in stacks:
            return why
        return f"{why}; if the first is of layers: axes={{{path!r}: None}}"

    return [
        (axes, hinted(path, leaf, why))
        for (path, leaf), (axes, why) in zip(leaves, found, strict=True)
    ]


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
        found = spread("axes: a tree of axes", given, tree, _is_axes)
        return [(_as_axes(axes), "axes= says so") for axes in found]


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
