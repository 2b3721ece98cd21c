"""Names of a package whose modules are loaded when the name is first used.

`import adamx` reads what optimizers are made of; plans, metrics, pictures and what else
is asked for by name are read when they are asked for.
"""

import importlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any


def loader(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package.

    Args:
        package: its full name.
        modules: by public name, the module in the package that has it, or is it.
    """

    def loaded(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{modules[name]}")
        found = module if name == modules[name] else getattr(module, name)
        setattr(sys.modules[package], name, found)  # the next time it is there
        return found

    return loaded


def things(package: types.ModuleType) -> dict[str, Any]:
    """Return what a package offers by its public name, but for modules; load it all."""
    later = getattr(package, "_LATER", {})
    found = {
        name: getattr(package, name)
        for name in dict.fromkeys([*vars(package), *later])
        if not name.startswith("_") and later.get(name) != name
    }
    return {n: x for n, x in found.items() if not isinstance(x, types.ModuleType)}
