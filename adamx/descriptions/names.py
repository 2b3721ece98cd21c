"""The public names of adamx, by which descriptions and configurations name things."""

import functools
import sys
from typing import Any

from .. import errors, observation, optimizers, parts, sparse, storage, wrappers
from ..engine.transformation import is_transformation
from ..engine.value import Value
from ..later import things

_FOLDERS = (optimizers, parts, storage, sparse, wrappers, observation)


@functools.cache
def public() -> dict[str, Any]:
    """Return every public function and class of the library by its name.

    Those of `adamx.optimizers`, `parts`, `storage`, `sparse`, `wrappers` and
    `observation`, and of `adamx` itself, where the functions `chain`, `groups`, `store`
    and others are.
    """
    found: dict[str, Any] = {}
    for folder in (sys.modules["adamx"], *_FOLDERS):
        for name, thing in things(folder).items():
            ours = str(getattr(thing, "__module__", "")).startswith("adamx.")
            if ours and callable(thing):
                found.setdefault(name, thing)
    return found


def named(where: str, name: str) -> Any:
    """Return what a public name stands for.

    Raises:
        ValueError: adamx has no such name.
    """
    if name not in public():
        raise errors.AdamxError(
            f"{where}: a name must be one of adamx, got {name!r}. "
            f"{errors.suggest(name, public())}"
        )
    return public()[name]


def check_own(where: str, argument: str, tx: Any) -> None:
    """Raise a TypeError for what is no transformation, part or codec of adamx."""
    if isinstance(tx, Value):
        return
    remedy = "Pass an optimizer such as adamx.adam(1e-3), a part or a codec."
    if is_transformation(tx) and not isinstance(tx, type):
        remedy = f"Put it into a chain: adamx.chain({argument})."
    raise errors.type_error(
        where,
        f"`{argument}` must be a transformation of adamx",
        errors.shown(tx),
        remedy,
    )
