"""Every optimizer of adamx, listed once, and how one is built to be measured."""

import inspect
from typing import Any

import adamx
from adamx import optimizers

RATE = 1e-3
SCOPES = ("element", "tensor", "tree")


def first_argument(name: str) -> str:
    """The first argument of a function of adamx."""
    return next(iter(inspect.signature(getattr(adamx, name)).parameters), "")


ALL = sorted(n for n in optimizers.__all__ if not n.startswith("scale_by_"))
FROM_RATE = [name for name in ALL if first_argument(name) == "learning_rate"]
"""Those that are called with a learning rate; the others stand around an optimizer."""
WITH_DIRECTION = [name for name in ALL if f"scale_by_{name}" in optimizers.__all__]
"""Those that are also there without learning rate and weight decay."""


def built(name: str) -> Any:
    """The optimizer at a rate of 1e-3; a wrapper, around Adam."""
    make = getattr(adamx, name)
    known = {"tx": adamx.adam(RATE), "learning_rate": RATE}
    wanted = inspect.signature(make).parameters
    return make(**{name: value for name, value in known.items() if name in wanted})


def rules(tx: Any) -> list[adamx.Rule]:
    """The rules that a chain, or one rule, is made of."""
    parts = getattr(tx, "parts", (tx,))
    return [part for part in parts if isinstance(part, adamx.Rule)]


def scope(tx: Any) -> str:
    """How much of the parameters an element of the update depends on."""
    return max((rule._widest_scope() for rule in rules(tx)), key=SCOPES.index)


def extra_arguments(tx: Any) -> frozenset[str]:
    """The names of the extra arguments that `update` must be given."""
    needs = frozenset().union(*(rule.needs() for rule in rules(tx)))
    return needs - {"param", "path", "random"}
