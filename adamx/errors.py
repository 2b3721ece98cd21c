"""The errors of adamx, and how their messages are worded.

Every message reads "Where: what must hold, got what. Meaning; remedy." Only Python
numbers are compared; tracers and arrays pass, since their values are not known.
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any


class AdamxError(ValueError):
    """Raised for an argument, a structure or a state that is not valid."""


class AdamxTypeError(AdamxError, TypeError):
    """Raised for an argument of the wrong type."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """The interval in which a Python number must lie, and advice for the error."""

    low: float
    high: float
    closed: str = "[)"  # which ends are included
    advice: str = ""

    def but(self, advice: str) -> "Interval":
        """Return the same interval with advice for the error message."""
        return dataclasses.replace(self, advice=advice)

    @staticmethod
    def parse(text: str) -> "Interval":
        """Parse a text such as "[0, 1)" or "(0, inf)"."""
        try:
            low, high = map(float, text[1:-1].split(","))
            ends = text[0] + text[-1]
        except (ValueError, IndexError):
            low, high, ends = 1.0, 0.0, ""
        if low > high or ends not in ("[)", "[]", "()", "(]"):
            raise AdamxError(
                f"hyper: `allowed` must be an interval, got {text!r}. "
                f"Write for example '[0, 1)' or '(0, inf)'."
            )
        return Interval(low, high, ends)

    def __contains__(self, x: float) -> bool:
        above = x >= self.low if self.closed[0] == "[" else x > self.low
        below = x <= self.high if self.closed[1] == "]" else x < self.high
        return above and below

    def __str__(self) -> str:
        if self.high == float("inf"):
            return f"be {'at least' if self.closed[0] == '[' else 'above'} {self.low:g}"
        return f"lie in {self.closed[0]}{self.low:g}, {self.high:g}{self.closed[1]}"


def check_number(where: str, name: str, value: float, allowed: Interval) -> None:
    if value not in allowed:
        advice = f" {allowed.advice}" if allowed.advice else ""
        raise AdamxError(f"{where}: `{name}` must {allowed}, got {value!r}.{advice}")


def check_schedule(where: str, name: str, schedule: Callable) -> None:
    """Raise an error if a schedule does not take one argument, the steps taken."""
    try:
        signature = inspect.signature(schedule)
    except (TypeError, ValueError):  # a builtin without a signature
        return
    try:
        signature.bind(0)
    except TypeError:
        raise AdamxTypeError(
            f"{where}: the schedule for `{name}` must take one argument, the steps "
            f"already taken, got {show_callable(schedule)}{signature}. Bind the others "
            f"first, for example with adamx.schedule or functools.partial."
        ) from None


def show_callable(f: Callable) -> str:
    return getattr(f, "__name__", type(f).__name__)


def shortened(text: str, limit: int = 120) -> str:
    """Return a text for a message, its middle left out if it is long."""
    text = " ".join(text.split())
    half = limit // 2 - 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Return "'a', 'b' and 3 more"."""
    names = list(names)
    shown = ", ".join(map(repr, names[:limit]))
    more = len(names) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'mu'?", or a list of the known names."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"There is {', '.join(map(repr, known))}." if known else "There is none."


def type_error(where: str, what: str, got: Any, remedy: str) -> AdamxTypeError:
    """Return the error for an argument of the wrong type."""
    return AdamxTypeError(f"{where}: {what}, got {got}. {remedy}")
