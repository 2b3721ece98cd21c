"""Errors for mistakes in a rule that a user wrote, raised when it is first traced.

The methods of every rule class outside adamx are wrapped when the class is created;
those of adamx's own classes are not, as the tests check them.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ..errors import AdamxError, AdamxTypeError
from .state import Context, OwnSlots, Slot
from .value import is_array


def check_class(cls: Any, **allowed: tuple[str, ...]) -> None:
    """Check the attributes of a rule class, and wrap its own methods in checks."""
    for name, known in allowed.items():
        value = cls.__dict__.get(name)
        if isinstance(value, str) and value not in known:
            raise AdamxError(
                f"{cls.__name__}: `{name}` must be one of {known}, got {value!r}."
            )
    if cls.__module__.split(".")[0] == "adamx":
        said = ("takes" in base.__dict__ for base in cls.__mro__)
        if sum(said) == 1:  # only the base of all rules says it
            cls.takes = "direction"
        return
    for name, checked in (("apply", _apply), ("slots", _slots), ("needs", _needs)):
        own = cls.__dict__.get(name)
        if inspect.isfunction(own):
            setattr(cls, name, checked(own))


def _slots(own: Callable) -> Callable:
    @functools.wraps(own)
    def slots(self: Any) -> dict[str, Slot]:
        declared = own(self)
        if not isinstance(declared, dict) or not all(
            isinstance(name, str) and isinstance(slot, Slot)
            for name, slot in declared.items()
        ):
            raise AdamxTypeError(
                f"{type(self).__name__}: slots() must return a dict of adamx.Slot by "
                f"name, got {declared!r}. "
                f'Return for example {{"mu": adamx.Slot()}}.'
            )
        return declared

    return slots


def _needs(own: Callable) -> Callable:
    @functools.wraps(own)
    def needs(self: Any) -> frozenset[str]:
        named = own(self)
        if isinstance(named, str) or not all(isinstance(n, str) for n in named):
            raise AdamxTypeError(
                f"{type(self).__name__}: needs() must return a set of names, got "
                f'{named!r}. Write: return super().needs() | {{"param"}}.'
            )
        return frozenset(named)

    return needs


def _apply(own: Callable) -> Callable:
    try:
        inspect.signature(own).bind(None, None, None, None)
    except TypeError:
        raise AdamxTypeError(
            f"{own.__qualname__}: it must take (self, update, slots, ctx), got "
            f"{inspect.signature(own)}. `ctx` is what the rule may know of the leaf."
        ) from None

    @functools.wraps(own)
    def apply(self: Any, update: Any, slots: Any, ctx: Context) -> Any:
        rule = type(self).__name__
        told = ctx.only(rule, self.needs())
        returned = own(self, update, OwnSlots(rule, slots), told)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise AdamxTypeError(
                f"{rule}: apply must return two things, the update and the slots, got "
                f"{_shown(returned)}. Write: return update, slots | {{name: new}}."
            )
        new_update, new = returned
        if not isinstance(new, dict):
            raise AdamxTypeError(
                f"{rule}: apply must return the slots as a dict by name, got "
                f"{_shown(new)}. Write: return update, slots | {{name: new}}."
            )
        _check_array(rule, "the update", new_update, update)
        _check_names(rule, new, slots)
        for name, old in slots.items():
            _check_array(rule, f"the slot `{name}`", new[name], old)
        return new_update, dict(new)

    return apply


def _check_names(rule: str, new: dict, slots: dict) -> None:
    unknown, missing = (
        sorted(new.keys() - slots.keys()),
        sorted(slots.keys() - new.keys()),
    )
    if unknown:
        raise AdamxError(
            f"{rule}: every slot that apply returns must be declared, got "
            f"`{unknown[0]}` beside {sorted(slots)}. Return it from slots(): "
            f'{{"{unknown[0]}": adamx.Slot()}}.'
        )
    if missing:
        raise AdamxError(
            f"{rule}: apply must return every slot that it was given, `{missing[0]}` "
            f"is missing. Write: return update, slots | {{name: new}}."
        )


def _check_array(rule: str, what: str, new: Any, old: Any) -> None:
    if _is_array(new) and jnp.shape(new) == jnp.shape(old):
        return
    raise AdamxError(
        f"{rule}: {what} must keep its shape {jnp.shape(old)}, got {_shown(new)}. "
        f"Return an array of that shape; a slot of another shape is declared with "
        f"Slot(shape_of=...)."
    )


def _is_array(x: Any) -> bool:
    return is_array(x) or hasattr(x, "__array__")  # NumPy's scalars, too


def _shown(x: Any) -> str:
    if _is_array(x):
        return f"an array of shape {jnp.shape(x)}"
    return (
        f"{type(x).__name__} {x!r}" if isinstance(x, float | int) else type(x).__name__
    )
