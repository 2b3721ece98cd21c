"""What the library has, read from the library: its public names and its optimizers."""

import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import Any

FACES = ("adamx", "adamx.parts", "adamx.optimizers", "adamx.storage", "adamx.testing")
"""Where public names may stand, the one to show first."""


def names(module: types.ModuleType) -> Iterator[str]:
    """The public names of a module, in the order of its list."""
    listed = getattr(module, "__all__", None)
    known = listed if listed is not None else sorted(vars(module))
    for name in known:
        private = name.startswith("_") or inspect.ismodule(getattr(module, name, None))
        if not private:
            yield name


@functools.cache
def public() -> dict[str, Any]:
    """Every public object by its full name, each under one name."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for face in FACES:
        module = importlib.import_module(face)
        for name in names(module):
            thing = getattr(module, name)
            own = getattr(thing, "__module__", face)
            if id(thing) in seen or not str(own).startswith("adamx"):
                continue
            seen.add(id(thing))
            found[f"{face}.{name}"] = thing
    return found


def home(thing: Any) -> str:
    """The module in which something is defined."""
    return getattr(thing, "__module__", "adamx")


def is_optimizer(thing: Any) -> bool:
    """A function of `adamx.optimizers` that takes a rate, or stands around another."""
    if not inspect.isfunction(thing) or not home(thing).startswith("adamx.optimizers"):
        return False
    if thing.__name__.startswith(("scale_by_", "_")):
        return False
    first = next(iter(inspect.signature(thing).parameters), "")
    return first in ("learning_rate", "tx") and "Args:" in (thing.__doc__ or "")


@functools.cache
def optimizers() -> dict[str, str]:
    """The optimizers' names, and the full name of each."""
    found = {
        full.split(".")[-1]: full for full, t in public().items() if is_optimizer(t)
    }
    return dict(sorted(found.items()))


def beside(name: str) -> list[str]:
    """The other public names of an optimizer's file that are no optimizers."""
    module = home(public()[optimizers()[name]])
    return [
        full
        for full, thing in public().items()
        if home(thing) == module and not is_optimizer(thing)
    ]


def main_of(name: str) -> str:
    """The optimizer on whose page the rules of the file stand."""
    module = home(public()[optimizers()[name]])
    inside = [n for n, f in optimizers().items() if home(public()[f]) == module]
    stem = module.split(".")[-1]
    return stem if stem in inside else inside[0]


def modules(package: str) -> list[str]:
    """The modules of a package, by name."""
    path = importlib.import_module(package).__path__
    return sorted(f"{package}.{m.name}" for m in pkgutil.iter_modules(path))


def of_module(module: str) -> list[str]:
    """The public names that a module defines, in the order of its source."""
    found = [full for full, thing in public().items() if home(thing) == module]
    return sorted(found, key=lambda full: _line(public()[full]))


def _line(thing: Any) -> int:
    try:
        return inspect.getsourcelines(inspect.unwrap(thing))[1]
    except (TypeError, OSError):
        return 0


def summary(doc: str) -> tuple[str, str]:
    """The field's name of an optimizer, and its first sentence without the name."""
    first = " ".join(doc.split("\n\n")[0].split())
    title, colon, rest = first.partition(": ")
    if colon and len(title.split()) <= 4:
        return title, rest[:1].upper() + rest[1:]
    return "", first


def docstring(module: str) -> str:
    """The first paragraph of a module's docstring."""
    doc = inspect.getdoc(importlib.import_module(module)) or ""
    return " ".join(doc.split("\n\n")[0].split())
