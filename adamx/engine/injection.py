"""What `optax.inject_hyperparams` is told of the arguments of an optimizer.

It takes every number for a hyperparameter, which it makes an array, and every function
for a schedule, which it calls with the count. A number of steps, a mask or a function
of the parameters is neither. It asks the signature of an optimizer to bind the
arguments: there these are hidden in a `Fixed`, and `static_args` need not name them.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any


class Fixed:
    """An argument that is part of the program: no number and no function to Optax."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def plain(given: Any) -> Any:
    """Return an argument as the caller gave it."""
    return given.value if isinstance(given, Fixed) else given


class _Signature(inspect.Signature):
    """A signature whose `bind` hides the arguments `fixed()`, defaults included."""

    fixed: Callable[[], Iterable[str]] = tuple  # also of a copy made by `replace`

    def bind(self, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        bound = super().bind(*args, **kwargs)
        bound.apply_defaults()
        for name in bound.arguments.keys() & self.fixed():
            bound.arguments[name] = Fixed(bound.arguments[name])
        return bound


def signature_with(
    function: Any, fixed: Callable[[], Iterable[str]]
) -> inspect.Signature:
    """Return the signature of a function for `optax.inject_hyperparams`.

    `fixed` returns the names of the arguments to hide; it is not called before.
    """
    known = inspect.signature(function)
    signature = _Signature(
        list(known.parameters.values()), return_annotation=known.return_annotation
    )
    signature.fixed = fixed
    return signature
