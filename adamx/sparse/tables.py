"""Which leaves are tables, and putting a rule around those of an optimizer."""

from collections.abc import Callable
from typing import Any

from .. import errors
from ..engine.chain import Chain, External
from ..engine.masks import Mask, as_mask
from ..engine.rule import Rule


def as_tables(where: str, tables: Any) -> Mask:
    """Return the mask of the tables; raise if it is none, or selects every leaf."""
    mask = as_mask(where, tables)
    if mask is None:
        raise errors.AdamxError(
            f"{where}: `tables` must say which leaves have rows, got {tables!r}. Pass "
            f"a path regex such as 'embedding', or lambda path, leaf: leaf.ndim > 1."
        )
    return mask


def around(where: str, tx: Any, made: Callable[[Rule], Rule]) -> Any:
    """Return `tx` with `made(rule)` in the place of its rules that have state or steps.

    They must be one sequence, since what is counted by row is counted once.
    """
    if isinstance(tx, Rule):
        return made(tx)
    if not isinstance(tx, Chain) or any(isinstance(p, External) for p in tx.parts):
        raise errors.type_error(
            where,
            "`tx` must be a rule, or a chain of adamx's rules",
            repr(tx),
            "Apply it before adamx.tunable, optax.chain and other wrappers.",
        )
    parts: list[Any] = list(tx.passes)
    own = [i for i, part in enumerate(parts) if part.slots()]
    if len(own) > 1:
        names = [sorted(parts[i].slots()) for i in own]
        raise errors.AdamxError(
            f"{where}: all state of `tx` must belong to one sequence of element-wise "
            f"rules, got {' and '.join(map(str, names))} apart in "
            f"{errors.shorten(repr(tx))}. Use an element-wise optimizer for the "
            f"tables, with optax.partition for the others."
        )
    at = own[0] if own else len(parts) - 1
    parts[at] = made(parts[at])
    return Chain(tuple(parts))
