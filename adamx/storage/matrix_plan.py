"""The matrix plan: how each leaf is seen by an optimizer of matrices, and why."""

import dataclasses
from typing import Any

import jax

from .. import errors
from ..engine.masks import Mask
from ..engine.paths import leaves_by_path
from ..optimizers.dion2 import LargestSlices
from ..parts.masked import Masked
from ..parts.orthogonal import Orthogonalize, devices, layout_of
from ..wrappers.stacked import Stacked
from .plan import columns
from .treatment import walk


@dataclasses.dataclass(frozen=True)
class MatrixRow:
    """Describe how one leaf is seen: a row of a `MatrixPlan`.

    Attributes:
        leaf: its path.
        shape: the shape of the parameter.
        matrices: the number of matrices, their rows and their columns; None where it is
            not seen as matrices.
        rule: what computes its direction.
        why: the reason.
        devices: the number of devices over which its stack is spread.
    """

    leaf: str
    shape: tuple[int, ...]
    matrices: tuple[int, int, int] | None
    rule: str
    why: str
    devices: int = 1

    @property
    def seen(self) -> str:
        """The matrices as text: "3 × (8 × 16)"."""
        if self.matrices is None:
            return "elements"
        k, m, n = self.matrices
        return f"{m} × {n}" if k == 1 else f"{k} × ({m} × {n})"


@dataclasses.dataclass(frozen=True)
class MatrixPlan:
    """List how every leaf is seen; prints as a table.

    Attributes:
        rows: one for each leaf.
    """

    rows: tuple[MatrixRow, ...]

    @property
    def stacks(self) -> dict[tuple[int, int], int]:
        """The number of matrices that are iterated together, by their short side."""
        found: dict[tuple[int, int], int] = {}
        for row in self.rows:
            if row.matrices is not None:
                k, m, n = row.matrices
                size = min(m, n), max(m, n)
                found[size] = found.get(size, 0) + k
        return found

    @property
    def filled(self) -> dict[tuple[int, int], int]:
        """The numbers that `spread` fills up, with matrices of zeros."""
        over = {
            (min(m, n), max(m, n)): row.devices
            for row in self.rows
            for _, m, n in ([row.matrices] if row.matrices else [])
        }
        whole = {n: k + -k % over[n] for n, k in self.stacks.items()}
        return {n: k for n, k in whole.items() if k > self.stacks[n]}

    def __str__(self) -> str:
        head = ("leaf", "shape", "seen as", "rule", "why")
        lines = [(r.leaf, str(r.shape), r.seen, r.rule, r.why) for r in self.rows]
        stacks = ", ".join(map(self._said, self.stacks))
        return "\n".join([*columns([head, *lines]), f"Stacks: {stacks or 'none'}."])

    def _said(self, size: tuple[int, int]) -> str:
        said = f"{self.stacks[size]} of {size[0]} × {size[1]}"
        if size not in self.filled:
            return said
        return f"{said}, filled up with zeros to {self.filled[size]} for the devices"


def matrix_plan(tx: Any, params: Any) -> MatrixPlan:
    """List for each leaf of `params` how `tx` sees it: rows, columns, batch, and why.

        print(matrix_plan(muon(0.02), params))

    Rows and columns are those of the leaf; the last line counts what is iterated
    together, and says which stacks `spread` fills up, because its devices do not divide
    them. A leaf of two or more axes that is not orthogonalised is listed with the
    reason: its name, its number of axes, or a mask. Nothing is allocated: `params` may
    be arrays or `jax.ShapeDtypeStruct`s.

    Args:
        tx: a transformation that orthogonalises, such as `muon` or `adamuon`.
        params: the parameters.

    Raises:
        TypeError: `tx` orthogonalises nothing.
        ValueError: a leaf that it must orthogonalise has no axes, or not those.
    """
    found = list(walk(tx, (), []))
    matrix = [(rule, masks) for rule, masks in found if isinstance(rule, Orthogonalize)]
    if not matrix:
        raise errors.type_error(
            "matrix_plan",
            "`tx` must orthogonalise matrices",
            errors.shown(tx),
            "Pass for example adamx.muon(0.02), or a chain with Orthogonalize.",
        )
    seen = [
        (rule, _selected(masks, params), rule.axes.explained(params))
        for rule, masks in matrix
    ]
    stacks = _stacks(found, params)
    parted = [
        (r, _selected(m, params)) for r, m in found if isinstance(r, LargestSlices)
    ]
    keeps = [(r, _selected(m, params)) for r, m in found if _is_adam(r)]
    rows = []
    for i, (path, leaf) in enumerate(leaves_by_path(params)):
        if leaf is None:
            continue
        rule, chosen, explained = next((x for x in seen if x[1][i]), seen[0])
        axes, why = explained[i]
        shape = tuple(leaf.shape)
        if chosen[i]:
            layers, each = 1, shape
            axis = stacks[i]
            if axis is not None:
                each, layers = shape[:axis] + shape[axis + 1 :], shape[axis]
            like = jax.ShapeDtypeStruct(each, leaf.dtype)
            k, m, n = layout_of(rule, like, axes).sizes
            why = why if axis is None else f"{why}; stacked"
            for slices, selected in parted:
                if selected[i]:
                    number = slices.number_of(m, n)
                    why = f"{why}; the largest {number} of {min(m, n)}"
                    m, n = (number, n) if m <= n else (m, number)
            seen_as = k * layers, m, n
            over = devices(rule.spread)
            rows.append(MatrixRow(path, shape, seen_as, "Muon", why, over))
            continue
        if axes is not None:
            why = "a mask leaves it out"
        adam = any(answers[i] for _, answers in keeps)
        rows.append(MatrixRow(path, shape, None, "Adam" if adam else "others", why))
    return MatrixPlan(tuple(rows))


def _selected(masks: tuple[Mask, ...], tree: Any) -> list[bool]:
    """Return for each leaf whether all masks select it."""
    every = [True] * len(leaves_by_path(tree))
    return [all(x) for x in zip(every, *(m.resolve(tree) for m in masks), strict=True)]


def _is_adam(rule: Any) -> bool:
    return isinstance(rule, Masked) and {"mu", "nu"} <= rule.part.slots().keys()


def _stacks(found: list[tuple[Any, tuple]], params: Any) -> list[int | None]:
    """Return for each leaf over which axis `stacked` maps the orthogonalisation."""
    leaves = [leaf for _, leaf in leaves_by_path(params)]
    each: list[int | None] = [None] * len(leaves)
    for rule, _ in found:
        inside = isinstance(rule, Stacked) and walk(rule.part, (), [])
        if inside and any(isinstance(r, Orthogonalize) for r, _ in inside):
            answers = rule.mask.resolve(params)
            for i, yes in enumerate(answers):
                each[i] = rule.axis % len(leaves[i].shape) if yes else each[i]
    return each
