"""The matrix plan: how each leaf is seen by an optimizer of matrices, and why."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import optax

from .. import errors
from ..engine.chain import contents
from ..parts.matrix_views import MatrixView, Side
from .leaf_views import LeafViews
from .plan import columns
from .treatment import is_foreign, name_of_unknown


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
        number: the number of matrices, of blocks into which they are cut, or of tensors
            with a statistic for each axis.
        block: the shape of each; () where the leaf is treated by its elements.
        sides: the sides of the leaf, which axes they are, and what is kept of them.
        together: whether its matrices are iterated in a stack with those of others.
    """

    leaf: str
    shape: tuple[int, ...]
    matrices: tuple[int, int, int] | None
    rule: str
    why: str
    devices: int = 1
    number: int = 1
    block: tuple[int, ...] = ()
    sides: tuple[Side, ...] = ()
    together: bool = False

    @property
    def seen(self) -> str:
        """The matrices as text: "3 × (8 × 16)"."""
        if not self.block:
            return "elements"
        each = _by(self.block)
        return each if self.number == 1 else f"{self.number} × ({each})"

    @property
    def kept(self) -> str:
        """What is kept of the sides, as text: "left 8 × 8, right 16 × 16".

        Slots of one side and shape are together: "mu and nu 4 × 16", each of 4 × 16.
        """
        said = []
        known = (s for s in self.sides if s.statistic is not None)
        for (_, size), run in itertools.groupby(known, lambda s: (s.axes, s.statistic)):
            said.append(f"{' and '.join(s.slot for s in run)} {_by(size or ())}")
        return ", ".join(said) or "–"

    @property
    def reason(self) -> str:
        """The reason, and which axes the sides are that have less than others."""
        said = [f"{_axes(s.axes)}: {s.why}" for s in self.sides if s.why and s.axes]
        return "; ".join([self.why, *dict.fromkeys(said)])


@dataclasses.dataclass(frozen=True)
class MatrixPlan:
    """List how every leaf is seen; prints as a table.

    Attributes:
        rows: one for each leaf.
        notes: the parts that cannot be looked into.
    """

    rows: tuple[MatrixRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def stacks(self) -> dict[tuple[int, int], int]:
        """The number of matrices that are iterated together, by their short side."""
        found: dict[tuple[int, int], int] = {}
        for row in self.rows:
            if row.matrices is not None and row.together:
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
            for _, m, n in ([row.matrices] if row.matrices and row.together else [])
        }
        whole = {n: k + -k % over[n] for n, k in self.stacks.items()}
        return {n: k for n, k in whole.items() if k > self.stacks[n]}

    @property
    def statistics(self) -> dict[tuple[int, ...], int]:
        """The number of arrays of two axes that are kept of sides, by their shape.

        All those of the column "kept" are counted, whether they are decomposed or not:
        statistics, bases and roots, also factors, projections, moments of low rank.
        """
        found: dict[tuple[int, ...], int] = {}
        for row in self.rows:
            for side in row.sides:
                if side.statistic is not None and len(side.statistic) == 2:
                    size = side.statistic
                    found[size] = found.get(size, 0) + row.number
        return found

    def __str__(self) -> str:
        keeps = any(s.statistic is not None for row in self.rows for s in row.sides)
        head = ("leaf", "shape", "seen as", *(("kept",) * keeps), "rule", "why")
        lines = [
            (r.leaf, str(r.shape), r.seen, *((r.kept,) * keeps), r.rule, r.reason)
            for r in self.rows
        ]
        return "\n".join([*columns([head, *lines]), *self._totals(), *self.notes])

    def _totals(self) -> Iterator[str]:
        """Yield the sums below the table."""
        stacks = ", ".join(map(self._said, self.stacks))
        kept = ", ".join(f"{k} of {_by(n)}" for n, k in self.statistics.items())
        if stacks:
            yield f"Stacks: {stacks}."
        if kept:
            yield f"Kept: {kept}."
        if not any(row.block for row in self.rows):
            yield "No leaf is seen as a matrix."

    def _said(self, size: tuple[int, int]) -> str:
        said = f"{self.stacks[size]} of {size[0]} × {size[1]}"
        if size not in self.filled:
            return said
        return f"{said}, filled up with zeros to {self.filled[size]} for the devices"


def matrix_plan(tx: Any, params: Any) -> MatrixPlan:
    """List for each leaf of `params` how `tx` sees it: rows, columns, batch, and why.

        print(matrix_plan(muon(0.02), params))
        print(matrix_plan(soap(block_size=256), params))

    Rows and columns are those of the leaf. For an optimizer that keeps something of
    each side, as SOAP, Shampoo, PSGD Kron, GaLore and Adafactor do, a column says what:
    the slot and the shape for one matrix, or for one of the blocks into which it is
    cut. A side that has no statistic, or only a diagonal, is named with the reason.

    The last lines count the matrices that are iterated together, and say which stacks
    `spread` fills up, because its devices do not divide them; and all arrays of two
    axes that are kept of sides, by their shape: statistics, bases, factors, projections
    and moments of low rank. The rule "Muon" is the orthogonalisation, also that of
    Scion. Every leaf is listed once. One that is not seen as a matrix is listed with
    what it gets instead and the reason: its name, its number of axes, a side that is
    too long, or a mask. Nothing is allocated: `params` may be arrays or
    `jax.ShapeDtypeStruct`s.

    A rule of your own explains itself by a method `matrix_view(leaf, named)`, see
    `adamx.parts.matrix_views`.

    Args:
        tx: a transformation that sees leaves as matrices, such as `muon`, `dion`,
            `soap`, `galore` or `adafactor`: one of its rules has a method
            `matrix_view`, by which it explains itself.
        params: the parameters.

    Raises:
        TypeError: no rule of `tx` sees leaves as matrices.
        ValueError: a leaf that it must see as a matrix has no axes, or not those.
    """
    seen = LeafViews(tx, params)
    if not seen.asked:
        raise errors.type_error(
            "matrix_plan",
            "`tx` must see leaves as matrices, or keep a statistic for each side",
            errors.shown(tx),
            _remedy(seen),
        )
    rows = []
    for i, (path, leaf) in enumerate(seen.leaves):
        if leaf is None:
            continue
        shape = tuple(leaf.shape)
        if seen.views[i]:
            rows.append(_row(path, shape, seen.views[i]))
        else:
            rule, why = seen.other_rules(i), seen.left_out(i)
            rows.append(MatrixRow(path, shape, None, rule, why))
    notes = dict.fromkeys(map(_note, seen.unknown))
    return MatrixPlan(tuple(rows), tuple(notes))


def _remedy(seen: LeafViews) -> str:
    """Say what to pass in the place of what has no rule of matrices."""
    known = "adamx.memory_plan lists the state of every optimizer."
    fitting = (
        f"Pass for example adamx.muon(0.02) or adamx.soap(), or a chain with one of "
        f"their rules; {known}"
    )
    closed = (
        "Transformations of Optax cannot be looked into, also where they hold one of "
        "adamx: use adamx.chain for optax.chain, adamx.groups for "
        "optax.multi_transform and optax.masked, adamx.tunable for "
        "optax.inject_hyperparams, or plan the optimizer inside."
    )
    unknown = contents(seen.unknown)
    if not any(isinstance(x, optax.GradientTransformation) for x in unknown):
        return fitting
    return f"{closed} {fitting if seen.found else known}"


def _note(part: Any) -> str:
    """Say of a part that cannot be looked into what is not listed."""
    why = "is not adamx's" if is_foreign(part) else "cannot be looked into"
    return f"`{name_of_unknown(part)}` {why}: how it treats leaves is not listed."


def _row(path: str, shape: tuple[int, ...], seen: list[MatrixView]) -> MatrixRow:
    """Return the row of a leaf that one rule sees, or several one after another."""
    first = next((view for view in seen if view.block), seen[0])
    sides, why = first.sides, first.why
    for view in seen:
        if view is first or not view.block:
            continue
        same = (view.rule, view.number, view.block)
        if same == (first.rule, first.number, first.block):
            sides = (*sides, *view.sides)
        else:
            row = _row(path, shape, [view])
            why = f"{why}; also {view.rule}: {row.seen}, {row.reason}"
    matrices = None
    if len(first.block) == 2:
        m, n = first.block
        matrices = first.number, m, n
    return MatrixRow(
        path,
        shape,
        matrices,
        first.rule,
        why,
        first.devices,
        first.number,
        first.block,
        sides,
        first.together,
    )


def _by(sizes: tuple[int, ...]) -> str:
    return " × ".join(map(str, sizes))


def _axes(axes: tuple[int, ...]) -> str:
    """Name axes of a leaf: "axis 3", "axes 0, 1, 2"."""
    return f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
