"""The step of some rows of a table in place, as one operation of JAX.

Where a platform knows nothing better, the rows are taken out, stepped as a leaf of
those rows, and put back. On a CPU `adamx.kernels.lowering` runs the native loop of the
whole leaf on the rows only, in the table: nothing is taken out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..native.leaf_loop import LeafLoop
from ..native.plain_primitive import plain_primitive
from ..native.primitive import LeafStep, leaf_steps_p
from ..numerics.row_sparse import put_rows, take_rows


class RowStep(NamedTuple):
    """How some rows are stepped.

    Attributes:
        whole: the step of the whole leaf; it is computed at the rows only.
        alone: the step of a leaf of the rows.
        operands: which operands of the call `whole` is given, each array once: the
            parameter may be read in two places. Behind them are the indices.
        tables: what `whole` is given that are whole tables; other arrays are rows.
        written: (output, input): the outputs that are tables, and what they were.
        places: where the step of the rows is given the indices, too; None if nowhere.
        leaf: the place of the leaf in the tree.
    """

    whole: LeafLoop
    alone: LeafLoop
    operands: tuple[int, ...]
    tables: frozenset[int]
    written: tuple[tuple[int, int], ...]
    places: int | None
    leaf: int

    def given(self, operands: Sequence) -> list:
        """Return what `whole` is given, of the operands of the call."""
        return [operands[i] for i in self.operands]


def plain(*operands: Any, step: RowStep) -> list:
    """Compute the same by taking rows out and putting them back."""
    given, indices = step.given(operands), operands[-1]
    taken = {i: take_rows(given[i], indices) for i in step.tables}
    rows = [taken.get(i, x) for i, x in enumerate(given)]
    if step.places is not None:
        rows.insert(step.places, indices)
    alone = LeafStep(step.alone, tuple(range(len(rows))), step.leaf)
    results = leaf_steps_p.bind(*rows, steps=(alone,))
    for out, i in step.written:
        results[out] = put_rows(given[i], indices, results[out])
    return results


def _out_avals(step: RowStep) -> list:
    results = list(step.alone.closed.out_avals)
    for out, _ in step.written:
        results[out] = step.whole.closed.out_avals[out]
    return results


row_step_p = plain_primitive("adamx_row_step", plain, _out_avals)
