"""How a rule sees one leaf: as matrices, as a tensor with a statistic a side, or not.

A rule with a method `matrix_view(leaf, named)` explains itself to `adamx.matrix_plan`.
"""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

Shape = tuple[int, ...]
Named = tuple[Any, str]
"""The axes that `axes=` of a rule, or the name of a leaf, gives it, and the reason."""


class Side(NamedTuple):
    """Describe one side of the matrices of a leaf, and what is kept of it.

    Attributes:
        axes: the axes of the leaf that this side is made of, counted from 0; () for the
            one column of a vector.
        size: its length in the leaf, before it is cut.
        slot: the slot that keeps its statistic; "" for none.
        statistic: the shape of that statistic, of one matrix: (n, n) of a full one,
            (n,) of a number for each row; None where nothing is kept.
        why: why nothing is kept, or less than a full one.
    """

    axes: Shape
    size: int
    slot: str = ""
    statistic: Shape | None = None
    why: str = ""


class MatrixView(NamedTuple):
    """Describe how a rule sees one leaf.

    Attributes:
        rule: what computes its direction, in a word: "Muon", "SOAP", "Adam".
        why: the reason.
        number: of the matrices, blocks or tensors of equal shape into which it is cut.
        block: the shape of one of them; () where the leaf is treated by its elements.
        sides: those of the leaf that have a statistic, or could have.
        together: whether the matrices of all leaves are computed as one stack.
        devices: the number of devices over which that stack is spread.
    """

    rule: str
    why: str
    number: int = 1
    block: Shape = ()
    sides: tuple[Side, ...] = ()
    together: bool = False
    devices: int = 1


@runtime_checkable
class SeesMatrices(Protocol):
    """A rule that says how it sees a leaf: as matrices, or as what else and why."""

    def matrix_view(self, leaf: Any, named: Named) -> MatrixView:
        """Return how the rule sees a leaf that its masks select.

        Args:
            leaf: the parameter, or one layer of it inside `stacked`: its shape is that
                of the whole, also with `axis_name`.
            named: what `axes` of the rule says of the leaf, and why; (None, "") of a
                rule without.
        """
        ...


def of_elements(rule: str, why: str, sides: tuple[Side, ...] = ()) -> MatrixView:
    """Return the view of a leaf that is treated by its elements."""
    return MatrixView(rule, why, sides=sides)


def no_matrix(shape: Shape) -> str:
    """Say why a leaf is none for a rule that knows only leaves of two axes."""
    few = "fewer than two axes"
    return few if len(shape) < 2 else f"{len(shape)} axes: a matrix has two"


def as_stored(shape: Shape) -> tuple[Shape, Shape]:
    """Return the axes of the matrix of the last axis of a leaf against the others."""
    axes = tuple(range(len(shape)))
    return (axes[:-1], axes[-1:]) if len(shape) > 1 else (axes, ())


def sides_by_others(shape: Shape) -> str:
    """Say which matrix a leaf is for a rule without `axes`."""
    if len(shape) < 2:
        return "fewer than two axes"
    return "two axes" if len(shape) == 2 else "the last axis by all others"


def merged_axes(shape: Shape, most: int) -> list[Shape]:
    """Group axes that follow each other, as long as their product is at most `most`.

    Axes of length 1 are merged with a neighbour.
    """
    found: list[Shape] = []
    group: Shape = ()
    for axis, n in enumerate(shape):
        size = math.prod(shape[a] for a in group)
        if size * n > most and size > 1:
            found, group = [*found, group], ()
        group = (*group, axis)
        if n > most:
            found, group = [*found, group], ()
    size = math.prod(shape[a] for a in group)
    if size > 1 or not found:
        return [*found, group]
    return [*found[:-1], (*found[-1], *group)]
