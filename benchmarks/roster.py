"""Every optimizer that adamx exports, and how one is made to be looked at."""

import inspect
from typing import Any

import adamx
from adamx import optimizers as aliases

RATE = 1e-3


def is_member(name: str) -> bool:
    """An alias that makes an optimizer, from a rate or around another."""
    alias = getattr(adamx, name)
    first = next(iter(inspect.signature(alias).parameters), "")
    return first in ("learning_rate", "tx") and not inspect.isclass(alias)


WHOLE = [name for name in aliases.__all__ if not name.startswith("scale_by_")]
ALL = sorted(n for n in WHOLE if callable(getattr(adamx, n)) and is_member(n))


def built(name: str) -> Any:
    """The member at a rate of 1e-3; a wrapper, around Adam."""
    alias = getattr(adamx, name)
    known = {"tx": adamx.adam(RATE), "learning_rate": RATE}
    wanted = inspect.signature(alias).parameters
    return alias(**{name: value for name, value in known.items() if name in wanted})


def reach(tx: Any) -> str:
    """How far the widest part looks."""
    order = ("elementwise", "per tensor", "global")
    rules = [part for part in tx.parts if isinstance(part, adamx.Rule)]
    return max((rule.reach() for rule in rules), key=order.index, default=order[0])
