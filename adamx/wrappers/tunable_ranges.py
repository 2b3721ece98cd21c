"""The ranges of the hyperparameters in a state, which itself holds arrays only.

A `tunable` transformation notes the ranges of its fields when it makes or takes a
state, under the names in that state. A state for which nothing was noted, such as one
that was unpickled in a new process, is checked by the ranges that all rules declare.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

from ..engine.hyperparams import by_name, interval_of
from ..engine.nested import find_states
from ..engine.state import State
from ..engine.value import Value
from ..errors import Interval, check_number

# of each name, the intervals of all fields of that name
Ranges: TypeAlias = dict[str, tuple[Interval, ...]]
Form: TypeAlias = tuple[tuple[str, ...], ...]

# Several transformations may have states of one form, and different ranges.
_noted: dict[Form, list[Ranges]] = {}


def _form(tuned: Any) -> Form:
    """Return the names in the state of a tunable transformation."""
    slots = (tuple(sorted(x.slots)) for x in find_states(tuned.inner, State))
    return (tuple(sorted(tuned.hyperparams)), tuple(sorted(tuned.scheduled)), *slots)


def note(tx: Any, tuned: Any) -> None:
    """Note the ranges that the fields of `tx` declare, for states like `tuned`."""
    ranges = {name: tuple(each) for name, each in by_name(tx, interval_of).items()}
    known = _noted.setdefault(_form(tuned), [])
    if ranges not in known:
        known.append(ranges)


def _subclasses(cls: type) -> Iterator[type]:
    for one in cls.__subclasses__():
        yield one
        yield from _subclasses(one)


def _declared(name: str) -> list[Ranges]:
    """Return the ranges that any class declares for this name."""
    found: list[Ranges] = []
    for cls in _subclasses(Value):
        for field in dataclasses.fields(cls):  # pyright: ignore[reportArgumentType]
            public = field.metadata.get("public") or field.name
            if "hyper" in field.metadata and public == name:
                found.append({name: (field.metadata["hyper"],)})
    return found


def check(where: str, tuned: Any, name: str, value: float) -> None:
    """Raise an error if no transformation with such a state takes the value."""
    violated: list[Interval] = []
    for ranges in _noted.get(_form(tuned)) or _declared(name):
        broken = [one for one in ranges.get(name, ()) if value not in one]
        if not broken:
            return
        violated += broken
    if violated:
        check_number(where, name, value, violated[0])
