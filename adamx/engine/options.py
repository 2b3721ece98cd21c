"""Options: the fields of a rule that are not hyperparameters, and their ranges.

An option is part of the program, not data: a number of steps, a switch, an axis, a
function, a name. It must be known when the rule is built, so it is never an array. The
annotation of the field says its kind, `option(default, least=...)` its range.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import errors
from ..numerics.matrices import as_precision
from .value import Value, is_array

Bound = int | float | None


def option(
    default: Any = dataclasses.MISSING,
    *,
    least: Bound = None,
    above: Bound = None,
    most: Bound = None,
    below: Bound = None,
    size: int | None = None,
    advice: str = "",
    kw_only: bool = True,
) -> Any:
    """Declare a dataclass field that is not a hyperparameter, with its range.

        steps: int = option(5, least=1, advice="5 is usual.")

    Args:
        default: the default value.
        least: the least number that is allowed.
        above: a number that must be exceeded, in place of `least`.
        most: the largest number that is allowed.
        below: a number that must not be reached, in place of `most`.
        size: for a tuple of numbers, how many there must be.
        advice: the end of the error message.
        kw_only: whether it must be given by keyword.
    """
    bounds = Range(least, above, most, below, size, advice)
    return dataclasses.field(
        default=default, metadata={"option": bounds}, kw_only=kw_only
    )


@dataclasses.dataclass(frozen=True)
class Range:
    """The range of an option, and advice for the error."""

    least: Bound = None
    above: Bound = None
    most: Bound = None
    below: Bound = None
    size: int | None = None
    advice: str = ""

    @property
    def declared(self) -> bool:
        """Whether there is a bound."""
        return any(bound is not None for bound in self._bounds.values())

    @property
    def _bounds(self) -> dict[str, Bound]:
        return {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }

    def __contains__(self, x: int | float) -> bool:
        return (
            (self.least is None or x >= self.least)
            and (self.above is None or x > self.above)
            and (self.most is None or x <= self.most)
            and (self.below is None or x < self.below)
        )

    def __str__(self) -> str:
        said = [f"{word} {x:g}" for word, x in self._bounds.items() if x is not None]
        return "".join(f", {text}" for text in said)


ANY = Range()


def kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the types of an annotation: those of a union, else the one."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) in (
        typing.Union,
    ):
        return typing.get_args(annotation)
    return (annotation,)


def checked(where: str, name: str, annotation: Any, bounds: Range, given: Any) -> Any:
    """Return an option in its usual type, or raise an error for a wrong one."""
    allowed = kinds(annotation)
    if given is None and type(None) in allowed:
        return given
    if name == "axis_name":
        check_axis_name(where, given)
        return given
    if name == "precision":
        return as_precision(where, given)
    kind = next((k for k in allowed if k is not type(None)), Any)
    origin = typing.get_origin(kind) or kind
    if kind is bool:
        return switch(where, name, given)
    if kind is int:
        return whole(where, name, given, bounds)
    if kind is float:
        return real(where, name, given, bounds)
    if origin is tuple and Any in typing.get_args(kind):
        check_length(where, name, kind, given)
    if origin is tuple and {int, float} & set(typing.get_args(kind)):
        return numbers(where, name, kind, given, bounds)
    if kind is str:
        check_name(where, name, given)
    if origin is Callable:
        check_function(where, name, given)
    return given


def _refuse(where: str, what: str, given: Any, advice: str) -> Any:
    """Raise the error; an array gets the reason why it cannot be one."""
    if is_array(given):
        advice = (
            "It is part of the program, not data; inside optax.inject_hyperparams "
            "name it in static_args."
        )
    raise errors.type_error(where, what, errors.shown(given), advice)


def switch(where: str, name: str, given: Any) -> bool:
    """Return True or False, or raise an error."""
    if isinstance(given, bool | np.bool_):
        return bool(given)
    must = f"`{name}` must be True or False"
    return _refuse(where, must, given, f"Pass {name}=True or {name}=False.")


def whole(where: str, name: str, given: Any, bounds: Range) -> int:
    """Return a whole number in its range, or raise an error."""
    what = f"`{name}` must be a whole number{bounds}"
    advice = bounds.advice or f"Pass an int, such as {name}={_usual(bounds):g}."
    if not isinstance(given, int | np.integer) or isinstance(given, bool):
        return _refuse(where, what, given, advice)
    number = int(given)
    if number not in bounds:
        raise errors.AdamxError(f"{where}: {what}, got {number}. {advice}")
    if number.bit_length() > 31:
        raise errors.AdamxError(
            f"{where}: `{name}` must be a whole number of at most 31 bits, got one of "
            f"{number.bit_length()}. {advice}"
        )
    return number


def _usual(bounds: Range) -> int | float:
    least = bounds.least if bounds.above is None else bounds.above + 1
    return 1 if least is None else max(least, 1)


def real(where: str, name: str, given: Any, bounds: Range) -> float:
    """Return a finite number in its range, or raise an error."""
    what = f"`{name}` must be a finite number{bounds}"
    advice = bounds.advice or "It is a constant of the program, not a schedule."
    is_number = isinstance(given, float | int | np.floating | np.integer)
    if not is_number or isinstance(given, bool):
        return _refuse(where, what, given, advice)
    number = errors.as_float(given)
    if not math.isfinite(number) or number not in bounds:
        raise errors.AdamxError(f"{where}: {what}, got {number!r}. {advice}")
    return number


def numbers(where: str, name: str, kind: Any, given: Any, bounds: Range) -> tuple:
    """Return a tuple of numbers, or raise an error."""
    elements = typing.get_args(kind)
    size = len(elements) if Ellipsis not in elements else bounds.size
    of = next((t for t in elements if t is not Ellipsis), float)
    some = "numbers" if size is None else f"{size} numbers"
    of_what = "whole numbers" if of is int else some
    what = f"`{name}` must be a tuple of {of_what}"
    if not isinstance(given, tuple | list) or isinstance(given, Value):
        return _refuse(where, what, given, bounds.advice or f"Pass {name}=(...).")
    if size not in (None, len(given)):
        return _refuse(where, what, given, bounds.advice or f"Pass {size} of them.")
    one = whole if of is int else real
    return tuple(one(where, f"{name}[{i}]", x, bounds) for i, x in enumerate(given))


def check_length(where: str, name: str, kind: Any, given: Any) -> None:
    """Raise an error for what is no tuple of so many elements."""
    elements = typing.get_args(kind)
    if Ellipsis in elements:
        return
    if type(given) not in (tuple, list) or len(given) != len(elements):
        must = f"`{name}` must be a tuple of {len(elements)} numbers"
        _refuse(where, must, given, f"Pass {name}=(0.9, 0.999).")


def check_name(where: str, name: str, given: Any) -> None:
    if not isinstance(given, str) or not given:
        _refuse(where, f"`{name}` must be a name", given, "Pass a str.")


def check_function(where: str, name: str, given: Any) -> None:
    if not callable(given):
        _refuse(where, f"`{name}` must be a function", given, "Pass a callable.")


def check_axis_name(where: str, given: Any) -> None:
    """Raise an error for what is no name of a mesh axis, nor a tuple of names."""
    names = given if type(given) in (tuple, list) else (given,)
    if given is not None and not all(isinstance(x, str) and x for x in names):
        _refuse(
            where,
            "`axis_name` must be the name of a mesh axis, or a tuple of names",
            given,
            "Pass None outside shard_map.",
        )
