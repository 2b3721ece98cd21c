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
from ..numerics.random_bits import Placed
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
        steps = slots[_STEPS] + 1
        n = update.shape[0]
        kept = {name: x for name, x in slots.items() if x.shape[:1] == (n,)}
        rest = {name: x for name, x in slots.items() if name not in kept}
        shared = {k: s for k, s in self.part.slots().items() if s.shared}
        by_row: dict[str, Any] = {"rows": None}
        if ctx.has("key"):
            key, rows = _placed(ctx.key, n)
            by_row["rows"] = rows
        if ctx.has("param"):
            by_row["param"] = ctx.param
        by_row["extra"] = {
            name: x
            for name, x in ctx.extra.items()
            if jnp.shape(x)[:1] == (n,) and jnp.ndim(x) == update.ndim
        }

        def one(u: Array, kept: Slots, steps: Array, by_row: dict) -> Any:
            """Run the part on one row, as an array of one row."""
            row = {name: x[None] for name, x in kept.items()}
            before = {k: s.from_count(steps - 1) for k, s in shared.items()}  # pyright: ignore[reportOptionalCall]
            known = before | self.part.shared(before, steps)
            changes: dict[str, Any] = {
                name: by_row[name][None] for name in ("param",) if name in by_row
            }
            if by_row["rows"] is not None:
                changes["key"] = Placed(key, by_row["rows"][None])
            extra = dict(ctx.extra) | {k: x[None] for k, x in by_row["extra"].items()}
            here = ctx.replace(
                count=steps,
                shared={**ctx.shared, **{k: x.astype(u.dtype) for k, x in known.items()}},
                extra=type(ctx.extra)(ctx.extra.rule, extra),
                **changes,
            )
            u, new = self.part.apply(u[None], row | rest, here)
            return u[0], {name: new[name][0] for name in row if name != _STEPS}

        stepped, new = jax.vmap(one)(update, kept, steps, by_row)
        return stepped, slots | new | {_STEPS: steps}


_INT = jnp.dtype(jnp.int32)


def _placed(key: Any, n: int) -> tuple[Any, Array]:
    """Return a key, and which rows of the table those of a leaf are."""
    if isinstance(key, Placed):
        return key.word, key.rows
    return key, jnp.arange(n, dtype=jnp.int32)


def per_row(tx: Any, tables: Any) -> Any:
    """Return the same optimizer, which counts the steps of each row of some tables.

        tx = adamx.sparse.per_row(adamx.adam(1e-3), "embedding")

    What depends on the step (bias correction, and the first step) is computed from the
    number of steps in which the row had a gradient, in place of the number of all steps:
    a row that is seen for the first time moves as in the first step of all. Schedules
    stay functions of the steps of the whole optimizer. A row of a row-sparse gradient
    counts, zero or not; of a dense gradient every row counts.

    Args:
        tx: a rule or chain of adamx; `store` is applied before, `tunable` after it.
        tables: which leaves have rows, along their first axis: a mask, as a path regex.

    State: that of `tx`, and `row_steps`, 4 bytes a row, from zero; exact up to 2²⁴ steps
    of a row with float32 parameters.

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
                    f"the slot `{name}` of {errors.shorten(repr(rule))}. Pass numbers in "
                    f"place of schedules, or use the optimizer without per_row."
                )
        return PerRow(rule, mask)

    return around("per_row", tx, made)
