"""The hyperparameters of a transformation at a state, whether or not it is tunable."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .. import errors
from ..engine.chain import Chain, External
from ..engine.hyperparams import public_name, rewrite, scheduled
from ..engine.paths import plain
from ..engine.rule import Rule
from ..engine.state import State
from ..engine.transformation import Transformation
from ..engine.tree import shared_dtype
from ..engine.value import Value, is_array, same
from .around import Around
from .grouped import Groups
from .tunable import Tunable


class Found(NamedTuple):
    """One hyperparameter of a transformation.

    Attributes:
        name: its public name, after that of its group.
        value: a number, an array or a schedule.
        count: the steps that the transformation that has it has taken.
        changes: whether it may be another one at another step.
    """

    name: str
    value: Any
    count: Any
    changes: bool


def _found(tx: Any, state: Any, group: str = "") -> Iterator[Found]:
    if isinstance(tx, Tunable) and hasattr(state, "inner"):
        for one in _found(tx._now(state), state.inner, group):
            tuned = one.name.removeprefix(group) in tx.names
            yield one._replace(changes=one.changes or tuned)
    elif isinstance(tx, Around):
        there = state if tx.places else getattr(state, "inner", None)
        yield from _found(tx.inner, there, group)
    elif not isinstance(tx, Transformation):
        return
    elif not isinstance(state, State):
        raise errors.type_error(
            "current_hyperparams",
            f"`state` must be the state of {errors.shorten(repr(tx))}",
            type(state).__name__,
            "Pass what its init or update returned.",
        )
    elif isinstance(tx, Groups):
        for member in tx.members:
            number = member.group
            own = "clip/" if number is None else f"group{number + 1}/"
            yield from _found(member.tx, member.view(state), group + own)
    elif isinstance(tx, Chain):
        for part in tx.parts:
            if isinstance(part, External):
                yield from _found(part.tx, state.inner.get(part.name), group)
            else:
                yield from _found(part, state, group)
    elif isinstance(tx, Rule):
        noted: list[Found] = []

        def note(owner: Value, field: str, h: Any) -> Any:
            name = group + public_name(owner, field)
            noted.append(Found(name, h, state.count, callable(h)))
            return h

        rewrite(tx, note)
        yield from noted


def named(tx: Any, state: Any) -> dict[str, Found]:
    """Return the hyperparameters at a state, each under a name of its own."""
    names: dict[str, list[Found]] = {}
    for one in _found(tx, plain(state)):
        others = names.setdefault(one.name, [])
        if not any(same(one.value, other.value) for other in others):
            others.append(one)
    each: dict[str, Found] = {}
    for name, found in names.items():
        each |= {
            name if i == 0 else f"{name}_{i + 1}": one for i, one in enumerate(found)
        }
    return each


def value_of(name: str, found: Found) -> Array:
    """Return a hyperparameter at its count, in JAX's own width."""
    value = found.value
    if callable(value) and not is_array(value):
        value = scheduled("current_hyperparams", name, value, found.count)
    return jnp.asarray(value, shared_dtype())


def current_hyperparams(tx: Any, state: Any) -> dict[str, Array]:
    """Return all hyperparameters that the next update uses, by public name.

        adamx.current_hyperparams(tx, state)["learning_rate"]

    Schedules are evaluated at the steps that `state` has taken; what `tunable` keeps in
    the state is read there. It needs no `tunable`, and works inside `jax.jit`.

    Those of `groups` have the number of the group before their name, as in
    `group2/learning_rate`, and those of its clip `clip/`. If a name stands for several
    values, the second is `<name>_2`. What a transformation of Optax inside a chain uses
    is not known.

    Args:
        tx: an adamx transformation.
        state: its state.

    Raises:
        TypeError: `tx` is no adamx transformation, or `state` is not a state of it.
    """
    if not isinstance(tx, Transformation):
        raise errors.type_error(
            "current_hyperparams",
            "`tx` must be an adamx transformation",
            errors.shown(tx),
            "Of a wrapper of Optax pass the transformation and the state inside it.",
        )
    return {name: value_of(name, found) for name, found in named(tx, state).items()}
