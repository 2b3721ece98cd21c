"""The checker of annotations that jaxtyping's import hook puts on every function."""

from collections.abc import Callable
from typing import Self

import beartype


def check(function: Callable) -> Callable:
    """beartype, but for `Self`, which it resolves on whole classes only."""
    annotations = getattr(function, "__annotations__", {})
    function.__annotations__ = {k: v for k, v in annotations.items() if v is not Self}
    return beartype.beartype(function)
