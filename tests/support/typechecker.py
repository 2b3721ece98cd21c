"""The checker of annotations that jaxtyping's import hook puts on every function.

A check depends on nothing but the forms of what a function is given and returns: types,
shapes, dtypes, and the values of strings, booleans and classes. So jaxtyping and
beartype check a function once for each form, and what has passed is remembered.

It is remembered by the code of a function. A function inside another is made anew by
each call of that one, and to prepare its check takes a thousand times as long as to
make it.
"""

import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, Self, get_args, get_origin

import beartype
import jaxtyping

OF_RULES = ("adamx.parts", "adamx.optimizers")
VALUES = (str, bool, type)
ANYTHING = (Any, inspect.Parameter.empty)
SEQUENCES = (tuple, list, set, frozenset)
ITERATIONS = {kind.__iter__ for kind in SEQUENCES}
JAXTYPED = jaxtyping.jaxtyped


def check(function: Callable) -> Callable:
    """beartype, but for `Self`, which it resolves on whole classes only.

    Rules check their fields themselves when they are built, with the sentences that
    the tests compare.
    """
    if function.__name__ == "__init__" and function.__module__.startswith(OF_RULES):
        return function
    annotations = getattr(function, "__annotations__", {})
    function.__annotations__ = {k: v for k, v in annotations.items() if v is not Self}
    return beartype.beartype(function)


def once_for_each_form(typechecker: Callable) -> Callable[[Any], Any]:
    """`jaxtyping.jaxtyped`, which remembers the forms that have passed."""

    def decorated(function: Any) -> Any:
        if not inspect.isfunction(function):
            return JAXTYPED(function, typechecker=typechecker)
        key = function.__code__.co_filename, function.__code__
        if key not in _checks:
            _checks[key] = Check(function, typechecker)
        return _checks[key].around(function)

    return decorated


class Check:
    """The check of all functions that have the same code."""

    def __init__(self, function: Any, typechecker: Callable) -> None:
        signature = inspect.signature(function)
        hints = {n: p.annotation for n, p in signature.parameters.items()}
        hints["return"] = signature.return_annotation
        self.checked = {name for name, hint in hints.items() if hint not in ANYTHING}
        self.remembers = True
        self.draws = any(map(is_drawn_from, hints.values()))
        self.places = []  # whether each argument is checked
        for name, p in signature.parameters.items():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                self.remembers = self.remembers and name not in self.checked
            elif p.kind is not p.KEYWORD_ONLY:
                self.places.append(name in self.checked)
        self.passed: set[Any] = set()
        self.result: list[Any] = []
        self.one_at_a_time = threading.RLock()
        self.of_result = JAXTYPED(
            self._stand_in(function, signature), typechecker=typechecker
        )

    def _stand_in(self, function: Any, signature: inspect.Signature) -> Any:
        """Return a function of the same annotations, which returns what has been.

        It must not hold the function, which may hold what a test lets go of.
        """
        result = self.result

        def returned(*_: Any, **__: Any) -> Any:
            return result[0]

        closure = returned.__closure__
        made: Any = types.FunctionType(
            returned.__code__, function.__globals__, closure=closure
        )
        functools.update_wrapper(made, function)
        del made.__wrapped__
        made.__signature__ = signature
        return made

    def around(self, function: Any) -> Any:
        """Return the function, with its check."""
        if not self.checked:
            return function

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            result = function(*args, **keywords)
            key = self._form(args, keywords, result)
            if key not in self.passed:
                with self.one_at_a_time:
                    self.result[:] = [result]
                    try:
                        self.of_result(*args, **keywords)
                    finally:
                        self.result.clear()
                values = (*args, *keywords.values(), result)
                drawn = self.draws and any(map(has_unlike, values))
                if self.remembers and not drawn:
                    self.passed.add(key)
            return result

        return checked

    def _form(self, args: tuple, keywords: dict, result: Any) -> Any:
        known = zip(args, self.places, strict=False)
        forms: list[Any] = [form(x) for x, is_checked in known if is_checked]
        if keywords:
            forms += [(n, form(x)) for n, x in keywords.items() if n in self.checked]
        if "return" in self.checked:
            forms.append(form(result))
        return tuple(forms)


_checks: dict[tuple[str, Any], Check] = {}


def form(x: Any) -> Any:
    """What the check of a value depends on."""
    kind = type(x)
    if kind in VALUES:
        return x
    if isinstance(x, dict):
        return kind, *[(key, form(value)) for key, value in x.items()]
    if is_sequence(x):
        return kind, *map(form, x)
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return kind, x.shape, x.dtype
    return kind


def is_sequence(x: Any) -> bool:
    """Whether it is a sequence that is iterated over as all are."""
    return isinstance(x, SEQUENCES) and type(x).__iter__ in ITERATIONS


def has_unlike(x: Any) -> bool:
    """Whether elements of a sequence in it differ: beartype checks one of them."""
    if isinstance(x, dict):
        return any(map(has_unlike, x.values()))
    if not is_sequence(x):
        return False
    kinds = {type(e) if type(e) in VALUES else form(e) for e in x}
    return len(kinds) > 1 or any(map(has_unlike, x))


def is_drawn_from(hint: Any) -> bool:
    """Whether an annotation has sequences of any length, or is a text."""
    if isinstance(hint, str):
        return True
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Callable:
        return False
    fixed = origin is dict or (origin is tuple and Ellipsis not in inside)
    if inspect.isclass(origin) and issubclass(origin, Iterable) and not fixed:
        return True
    return any(map(is_drawn_from, inside))
