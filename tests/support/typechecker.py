"""The checker of annotations that jaxtyping's import hook puts on every function."""

from collections.abc import Callable
from typing import Self

import beartype

OF_RULES = ("adamx.parts", "adamx.optimizers")


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
