"""The reference pages of what is no optimizer, from the public names."""

from . import catalogue, docstrings
from .optimizer_pages import documented, heading

FOLDERS = ("parts", "storage", "plotting")
"""The folders whose modules have a page each."""
WITH_PAGES = tuple(f"adamx.{folder}." for folder in FOLDERS)


def pages() -> dict[str, str]:
    """The generated files by their path."""
    made: dict[str, str] = {}
    for folder in FOLDERS:
        package = f"adamx.{folder}"
        for module in catalogue.modules(package):
            if catalogue.of_module(module):
                made[f"{folder}/{module.split('.')[-1]}.rst"] = page(module)
    rest = [
        module
        for module in dict.fromkeys(map(catalogue.home, catalogue.public().values()))
        if not module.startswith((*WITH_PAGES, "adamx.optimizers"))
    ]
    lines = heading("Functions around an optimizer")
    for module in sorted(rest):
        lines += [f".. rubric:: {module}", ""]
        for full in catalogue.of_module(module):
            lines += documented(full)
    made["verbs.rst"] = "\n".join(lines)
    return made


def page(module: str) -> str:
    name = module.split(".")[-1].replace("_", " ")
    lines = heading(name[:1].upper() + name[1:])
    doc = catalogue.docstring(module)
    if doc:
        lines += [docstrings.prose(doc), ""]
    for full in catalogue.of_module(module):
        lines += documented(full)
    return "\n".join(lines)
