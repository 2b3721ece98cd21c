"""A page for each optimizer, and the tables of the index by kind."""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from adamx.descriptions import kinds

from . import catalogue, docstrings, recorded, sections

FOLDER = "optimizers"


def pages() -> dict[str, str]:
    """The generated files by their path."""
    names = list(catalogue.optimizers())
    made = {f"{FOLDER}/{name}.rst": page(name) for name in names}
    made["optimizers_by_kind.md"] = by_kind(names)
    return made


def title(name: str) -> str:
    """The field's name of an optimizer, from its docstring."""
    said, _ = catalogue.summary(_doc(name))
    words = name.replace("_", " ")
    return said or (words.upper() if len(words) < 4 else words.capitalize())


def _doc(name: str) -> str:
    return inspect.getdoc(catalogue.public()[catalogue.optimizers()[name]]) or ""


def heading(text: str, sign: str = "=") -> list[str]:
    return [text, sign * len(text), ""]


def page(name: str) -> str:
    full = catalogue.optimizers()[name]
    intro, rest = sections.split(_doc(name).splitlines())
    said, first = catalogue.summary(_doc(name))
    if said and intro:
        intro[0] = sections.Block("text", [first])
    lines = [
        f".. meta::\n    :keywords: {name}, {title(name)}, optimizer\n",
        f".. _optimizer-{name.replace('_', '-')}:\n",
        *heading(title(name)),
        *docstrings.rst(intro, full),
        *facts(name, rest),
        *heading("Arguments", "-"),
        f".. autofunction:: {full}\n",
        *rules(name),
        *differences(name),
        *failures(name),
    ]
    return "\n".join(lines)


def facts(name: str, rest: Sequence[sections.Block]) -> list[str]:
    """What is known of the optimizer in short, from the committed tables."""
    cells, kind = recorded.table().get(name, {}), kinds.kind_of(name)
    rows = [
        ("Call", f"``{catalogue.optimizers()[name]}``"),
        ("Kind", f":ref:`{kind} <{kinds.label(kind)}>`"),
    ]
    state = _code(cells.get("state", ""))
    if "bytes" in cells:
        per = "bytes per float32 parameter of a matrix"
        rows.append(("State", f"{state}: {cells['bytes']} {per}"))
    rows += [
        (label, _code(cells[key]))
        for label, key in (
            ("Scope", "scope"),
            ("Variants by keyword", "variants"),
            ("Difference from Optax", "Optax"),
            ("Difference from torch", "torch"),
            ("Made of", "made of"),
        )
        if cells.get(key, "–") != "–"
    ]
    passed = recorded.failure_modes()["cells"].get(name)
    if passed:
        good = sum(cell["passed"] for cell in passed.values())
        rows.append(
            ("Failure modes", f"passes {good} of {len(passed)} tasks; see below")
        )
    for block in rest:
        match = sections.FIELD.match(block.text)
        if match and match[1].startswith("Reference"):
            text = docstrings.prose(" ".join(match[2].split()))
            rows.append(("Reference", text))
    return list_table(rows, "facts")


def _code(cell: str) -> str:
    return re.sub(r"`([^`]+)`", r"``\1``", cell)


def list_table(
    rows: Iterable[Sequence[str]], kind: str, head: int = 0, widths: str = "auto"
) -> list[str]:
    lines = [
        ".. list-table::",
        f"    :class: {kind}",
        f"    :header-rows: {head}",
        f"    :widths: {widths}",
        "",
    ]
    for row in rows:
        for place, cell in enumerate(row):
            lines.append(f"    {'*' if place == 0 else ' '} - {cell}")
    return [*lines, ""]


def rules(name: str) -> list[str]:
    """The direction without rate, and the rules that stand in the same file."""
    main = catalogue.main_of(name)
    others = catalogue.beside(name)
    own = f"scale_by_{name}"
    mine = [full for full in others if full.split(".")[-1] == own]
    if name == main:
        taken = {f"scale_by_{n}" for n in catalogue.optimizers()} - {own}
        mine += [
            full
            for full in others
            if full not in mine and full.split(".")[-1] not in taken
        ]
    if not mine and name == main:
        return []
    lines = heading("The direction alone, and rules of the same file", "-")
    lines += [line for full in mine for line in documented(full)]
    if name != main:
        lines += [f"The rules of this file are on the page of :doc:`{main}`.", ""]
    return lines


def documented(full: str) -> list[str]:
    """The directive of autodoc for a public name."""
    thing = catalogue.public()[full]
    if inspect.isclass(thing):
        lines = [f".. autoclass:: {full}"]
        if catalogue.home(thing).startswith("adamx.engine"):
            lines.append("    :members:")
    elif callable(thing) and hasattr(thing, "__name__"):
        lines = [f".. autofunction:: {full}"]
    else:
        lines = [f".. autodata:: {full}", "    :no-value:"]
    return [*lines, ""]


def differences(name: str) -> list[str]:
    """The keywords that differ from Optax's, and how far the same call goes apart."""
    keywords = recorded.keywords().get(name, [])
    calls = recorded.same_calls().get(name, [])
    if not keywords and not calls:
        return []
    lines = heading("Differences from Optax", "-")
    if keywords:
        rows: list[tuple[str, ...]] = [("Keyword", "adamx", "Optax", "Instead")]
        for cells in keywords:
            said = (cells["keyword"], cells["adamx"], cells["Optax"], cells["instead"])
            rows.append(tuple(map(docstrings.prose, said)))
        lines += list_table(rows, "keywords", head=1)
    for cells in calls:
        lines += [
            "The largest difference between two updates of an element, relative to its "
            "largest update:",
            "",
        ]
        titles = [key[:1].upper() + key[1:] for key in cells]
        lines += list_table([titles, [_code(c) for c in cells.values()]], "calls", 1)
    return lines


def failures(name: str) -> list[str]:
    """The optimizer's row of the failure-mode map."""
    known: dict[str, Any] = recorded.failure_modes()
    cells = known["cells"].get(name)
    if not cells:
        return []
    lines = heading("Failure modes", "-")
    lines += [
        "Each task is small and has a criterion. An optimizer passes if one of the "
        f"{len(next(iter(cells.values()))['scores'])} rates that are tried meets it.",
        "",
    ]
    rows: list[tuple[str, ...]] = [("Task", "What it shows", "Result")]
    for task, cell in cells.items():
        rates = [f"{rate:.2g}" for rate in cell["passing_rates"]]
        if not cell["passed"]:
            said = "fails"
        elif len(rates) == 1:
            said = f"passes at {rates[0]}"
        else:
            said = f"passes at rates from {rates[0]} to {rates[-1]}"
        shows = known["tasks"].get(task, {}).get("shows", "")
        rows.append((task, docstrings.prose(shows), said))
    return lines + list_table(rows, "failures", head=1)


def by_kind(names: Sequence[str]) -> str:
    """A heading and a table for each kind, in Markdown."""
    lines: list[str] = []
    for kind, group in kinds.by_kind(names).items():
        lines += [f"({kinds.label(kind)})=", "", f"## {kind}", ""]
        lines += ["| Optimizer | In one sentence | Bytes | Optax | torch |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for name in group:
            cells = recorded.table().get(name, {})
            _, first = catalogue.summary(_doc(name))
            row = (
                f"[{title(name)}](/generated/{FOLDER}/{name}.rst)",
                re.sub(r"([|*_])(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\1", first),
                *(cells.get(key, "–") for key in ("bytes", "Optax", "torch")),
            )
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)
