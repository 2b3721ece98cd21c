"""Steps counted row by row: bias correction for the steps that a row has taken."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.masks import Mask
from ..engine.row_updates import row_numbers
from ..engine.rule import Rule, Wrapper
from ..engine.state import Context, Slot, Slots
from ..numerics.random_bits import OfRows
from .tables import around, as_tables

_STEPS = "row_steps"


class PerRow(Wrapper):
    """Give `part` the count of each row of the tables, in place of the step's.

    Args:
        part: a rule, or a sequence of rules.
        tables: the leaves that have rows.
    """

    tables: Any = None

    def _has_stacks(self) -> bool:
        return self.part._has_stacks()

    def slots(self) -> dict[str, Slot]:
        counts = Slot(
            shape_of=row_numbers, signed=False, dtype=_INT, masks=(self.tables,)
        )
        return self.part.slots() | {_STEPS: counts}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.tables):
            return self.part.apply(update, slots, ctx)
        n, steps = update.shape[0], slots[_STEPS] + 1

        def has_rows(x: Any) -> bool:
            return jnp.ndim(x) > 0 and jnp.shape(x)[0] == n

        kept = {name: x for name, x in slots.items() if has_rows(x)}
        rest = {name: x for name, x in slots.items() if name not in kept}
        word, rows = _placed(ctx.key, n) if ctx.has("key") else (None, None)
        given = {
            "param": ctx.param if ctx.has("param") else None,
            "rows": rows,
            "extra": {k: x for k, x in ctx.extra.items() if has_rows(x)},
        }

        def one(u: Array, kept: Slots, steps: Array, given: dict) -> Any:
            """Run the part on one row, as an array of one row."""
            kept, given = jax.tree.map(lambda x: x[None], (kept, given))
            known = self._shared_after(steps, u.dtype)
            extra = type(ctx.extra)(ctx.extra.rule, {**ctx.extra, **given["extra"]})
            here = ctx.replace(count=steps, shared={**ctx.shared, **known}, extra=extra)
            if given["param"] is not None:
                here = here.replace(param=given["param"])
            if given["rows"] is not None:
                here = here.replace(key=OfRows(word, given["rows"]))
            u, new = self.part.apply(u[None], kept | rest, here)
            return u[0], {name: new[name][0] for name in kept}

        stepped, new = jax.vmap(one)(update, kept, steps, given)
        return stepped, slots | new | {_STEPS: steps}

    def _shared_after(self, steps: Array, dtype: Any) -> dict[str, Array]:
        """Return what all leaves would share in the step that is number `steps`."""
        starts = {n: s.from_count for n, s in self.part.slots().items() if s.shared}
        kept = {n: start(steps - 1) for n, start in starts.items() if start is not None}
        known = kept | self.part.shared(kept, steps)
        return {name: x.astype(dtype) for name, x in known.items()}


_INT = jnp.dtype(jnp.int32)


def _placed(key: Any, n: int) -> tuple[Any, Array]:
    """Return a key, and which rows of the table those of a leaf are."""
    if isinstance(key, OfRows):
        return key.word, key.rows
    return key, jnp.arange(n, dtype=jnp.int32)


def per_row(tx: Any, tables: Any) -> Any:
    """Return the same optimizer, which counts the steps of each row of some tables.

        tx = adamx.sparse.per_row(adamx.adam(1e-3), "embedding")

    What depends on the step (bias correction, and the first step) is computed from the
    number of steps in which the row had a gradient, in place of the number of all
    steps: a row that is seen for the first time moves as in the first step of all.
    Schedules stay functions of the steps of the whole optimizer. A row of a row-sparse
    gradient counts, zero or not; of a dense gradient every row counts.

    Args:
        tx: a rule or chain of adamx; `store` is applied before, `tunable` after it.
        tables: which leaves have rows, along their first axis: a mask, as a path regex.

    State: that of `tx`, and `row_steps`, 4 bytes a row, from zero; exact up to 2²⁴
    steps of a row with float32 parameters.

    Raises:
        TypeError: `tx` is no rule or chain of adamx's rules.
        ValueError: `tx` shares a slot among all leaves that does not follow from the
            count, or has state in two sequences of rules, as a tensor-wise optimizer.
    """
    mask: Mask = as_tables("per_row", tables)

    def made(rule: Rule) -> Rule:
        for name, slot in rule.slots().items():
            if slot.shared and slot.from_count is None:
                raise errors.AdamxError(
                    f"per_row: what all leaves share must follow from the count, got "
                    f"the slot `{name}` of {errors.shorten(repr(rule))}. Pass numbers "
                    f"in place of schedules, or use the optimizer without per_row."
                )
        return PerRow(rule, mask)

    return around("per_row", tx, made)
