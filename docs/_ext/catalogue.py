"""What the library has, read from the library: its public names and its optimizers."""

import functools
import importlib
import inspect
import pkgutil
from typing import Any

from adamx.later import things

FACES = ("adamx", "adamx.parts", "adamx.optimizers", "adamx.storage", "adamx.sparse")
FACES = (*FACES, "adamx.interop.torch", "adamx.plotting", "adamx.testing")
"""Where public names may stand, the one to show first."""


def names(face: str) -> list[str]:
    """The public names of a package: its list, and what it takes from its modules."""
    module = importlib.import_module(face)
    listed = list(getattr(module, "__all__", ()))
    if face != FACES[0] or not listed:
        own = {n: t for n, t in things(module).items() if str(home(t)).startswith(face)}
        listed += [name for name in own if name not in listed]
    return [
        name
        for name in listed
        if not name.startswith("_") and not inspect.ismodule(getattr(module, name))
    ]


@functools.cache
def public() -> dict[str, Any]:
    """Every public object by its full name, each under one name."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for face in FACES:
        module = importlib.import_module(face)
        for name in names(face):
            thing = getattr(module, name)
            if id(thing) in seen or not str(home(thing)).startswith("adamx"):
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
