"""Going through the states of Optax and others, and finding those of adamx in them."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .. import errors
from ..engine.nested import fields_of
from ..engine.state import State
from ..wrappers.tunable import Tuned

COUNTED = {
    "InjectStatefulHyperparamsState": "count",
    "InjectHyperparamsState": "count",
    "WrappedScheduleState": "count",
    "MultiStepsState": "gradient_step",
}
"""Other states of Optax that count the steps of what is inside, and their field."""

INJECTED = ("InjectStatefulHyperparamsState", "InjectHyperparamsState")
"""Those that hold hyperparameters."""


def is_ours(x: Any) -> bool:
    """Return whether `x` is a state of adamx, or a mapping from the fields of one."""
    return isinstance(x, State | Tuned) or (
        isinstance(x, Mapping) and any(fields_of(x, kind) for kind in (Tuned, State))
    )


def is_count(x: Any) -> bool:
    """Return whether a mapping has a count alone.

    It is the state of a schedule of Optax, or one of adamx without slots.
    """
    return isinstance(x, Mapping) and set(x) == {"count"}


def as_state(x: Any) -> Any:
    """Return a state of adamx from a mapping of its fields, as Orbax returns it."""
    for kind in (Tuned, State):
        fields = fields_of(x, kind)
        if fields is not None:
            return kind(**{n: {} if v is None else v for n, v in fields.items()})
    return x


def inside(state: Any, kind: Callable[[Any], bool]) -> list[Any]:
    """Return the outermost states of a kind inside others."""
    return [x for x in jax.tree.leaves(state, is_leaf=kind) if kind(x)]


def is_node(x: Any) -> bool:
    return isinstance(x, tuple | list | Mapping)


def is_empty(x: Any) -> bool:
    """Return whether nothing is kept in a state."""
    return not jax.tree.leaves(x)


def children(x: Any) -> tuple[Any, list[Any]]:
    """Return the names of what is in a node, and what is there.

    Saved lists may have become dicts with the names "0", "1", …, "10".
    """
    if isinstance(x, Mapping):
        names = sorted(x, key=lambda name: (len(str(name)), str(name)))
        return names, [x[name] for name in names]
    if hasattr(x, "_fields"):
        return sorted(x._fields), [getattr(x, name) for name in sorted(x._fields)]
    return range(len(x)), list(x)


def rebuilt(like: Any, names: Any, values: list[Any]) -> Any:
    """Return a node like another one with other contents."""
    if hasattr(like, "_fields"):
        return type(like)(**dict(zip(names, values, strict=True)))
    if isinstance(like, Mapping):
        make: Any = type(like)
        return make(zip(names, values, strict=True))
    return values if isinstance(like, list) else tuple(values)


def injected(fresh: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved hyperparameters by the names that the new transformation has."""
    over = [n for n in saved if n not in fresh and bool(jnp.any(saved[n] != 0))]
    if over:
        raise errors.AdamxError(
            f"restore: the saved hyperparameters that are not 0 must have a place in "
            f"`tx`, got {over} for {sorted(fresh)}. Inject those into the optimizer."
        )
    return {name: saved.get(name, fresh[name]) for name in fresh}
