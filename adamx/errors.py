"""The errors of adamx, and how their messages are worded.

Every message reads "Where: what must hold, got what. Meaning; remedy." Only Python
numbers are compared; tracers and arrays pass, since their values are not known.
"""

import dataclasses
import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any


class AdamxError(ValueError):
    """Raised for an argument, a structure or a state that is not valid.

    Attributes:
        argument: the value that was refused, if it is one, and the public name of the
            field that it was given to.
    """

    argument: tuple[Any, str] | None = None


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
        if self.high == float("inf") and self.low == -self.high:
            return "be finite"
        if self.high == float("inf"):
            return f"be {'at least' if self.closed[0] == '[' else 'above'} {self.low:g}"
        return f"lie in {self.closed[0]}{self.low:g}, {self.high:g}{self.closed[1]}"

    def told(self, value: float) -> str:
        """Say what must hold, to somebody who has passed `value`."""
        text = str(self)
        endless = self.high == float("inf") and self.closed[1] == ")"
        if endless and not math.isfinite(value) and text != "be finite":
            return text.replace("be ", "be finite and ", 1)
        return text


def as_float(x: Any) -> float:
    """Return a real number as a float; one that is out of range is infinite."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def check_number(where: str, name: str, value: float, allowed: Interval) -> None:
    if value not in allowed:
        advice = f" {allowed.advice}" if allowed.advice else ""
        must = allowed.told(value)
        raise AdamxError(f"{where}: `{name}` must {must}, got {value!r}.{advice}")


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
    names = shorten(", ".join(map(repr, known)))
    return f"There is {names}." if known else "There is none."


WIDTH = 80
"""How long a value may be in a message."""


def shorten(text: str, width: int = WIDTH) -> str:
    """Return a text on one line, cut to `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def shown(value: Any) -> str:
    """Return a value as a message shows it: in short, without the numbers of arrays."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)} and dtype {value.dtype}"
    kind = type(value)
    foreign = kind.__module__.split(".")[0] != "adamx"
    if isinstance(value, tuple) and hasattr(value, "_fields") and foreign:
        return f"a {kind.__name__}"
    if kind in (dict, list, tuple, set) and not _is_short(value):
        some = "1 element" if len(value) == 1 else f"{len(value)} elements"
        return f"a {kind.__name__} of {some}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {show_callable(value)}"
    return shorten(repr(value))


def _is_short(value: Any) -> bool:
    """Return whether a container has a short text, without arrays."""
    elements = value.values() if isinstance(value, dict) else value
    plain = not any(hasattr(x, "shape") or isinstance(x, dict) for x in elements)
    return plain and len(repr(value)) <= WIDTH // 2


def type_error(where: str, what: str, got: Any, remedy: str) -> AdamxTypeError:
    """Return the error for an argument of the wrong type."""
    return AdamxTypeError(f"{where}: {what}, got {shorten(str(got))}. {remedy}")


def about_argument(error: AdamxError, value: Any, public: str) -> AdamxError:
    """Note in an error which value was refused, and the public name of its field."""
    error.argument = error.argument or (value, public)
    return error


_OF_A_PART = re.compile(r"(?P<part>[A-Z]\w*): (?P<before>[^`]*)`(?P<field>\w+)`")
_OF_A_FUNCTION = re.compile(r"(?P<part>[a-z]\w*): (?P<before>[^`]*)`(?P<field>\w+)`")


def in_terms_of(
    error: AdamxError, function: str, known: Iterable[str], given: dict[str, Any]
) -> AdamxError:
    """Return the error of a part as one of the function that the user has called.

    "Ema: `decay` must ..." becomes "adam: `b1` must ...": the keyword of that name or
    public name, else the only one that was given this very value. An error of no
    keyword of the function stays as it is.
    """
    text = str(error)
    found = _OF_A_PART.match(text) or _OF_A_FUNCTION.match(text)
    if found is None:
        return error
    field = found["field"]
    value, public = error.argument or (None, field)
    keyword = next((name for name in (public, field) if name in known), None)
    if keyword is None and error.argument is not None:
        holds = [name for name, x in given.items() if _holds(x, value)]
        keyword = holds[0] if len(holds) == 1 else None
    if keyword is None:
        return error
    rest = re.sub(rf"\b{field}(?=\.astype|=)", keyword, text[found.end() :])
    told = type(error)(f"{function}: {found['before']}`{keyword}`{rest}")
    told.argument = (value, keyword) if error.argument else None
    return told


def _holds(x: Any, value: Any) -> bool:
    """Return whether an argument is this value, or a tuple with it."""
    return x is value or (type(x) in (tuple, list) and any(e is value for e in x))
