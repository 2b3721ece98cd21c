"""What was measured and is committed: the tables of docs/, the failure-mode map."""

import functools
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
RESULTS = DOCS.parent / "benchmarks" / "results"


def _rows(text: str, head: str) -> list[dict[str, str]]:
    """The first table whose first cells are `head`, row by row."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if not line.startswith(f"| {head} |"):
            continue
        titles = _cells(line)
        found = []
        for row in lines[place + 2 :]:
            if not row.startswith("|"):
                break
            found.append(dict(zip(titles, _cells(row), strict=False)))
        return found
    return []


def _found(head: str) -> list[dict[str, str]]:
    """The table with this head in whichever document has it."""
    paths = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("optimizers/*.md"))]
    tables = (_rows(path.read_text(), head) for path in paths)
    return next(filter(None, tables), [])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Of each optimizer: bytes, scope, deviations, parts, state, variants."""
    found: dict[str, dict[str, str]] = {}
    for head in ("optimizer | bytes", "optimizer | made of"):
        rows = _found(head)
        if not rows:
            raise SystemExit(f"docs: no page has the table that begins `{head}`.")
        for cells in rows:
            found.setdefault(cells["optimizer"].strip("`"), {}).update(cells)
    return found


@functools.cache
def keywords() -> dict[str, list[dict[str, str]]]:
    """Of each optimizer that Optax has too: the keywords that differ."""
    return _by_name(_found("optimizer | keyword"), "optimizer")


@functools.cache
def same_calls() -> dict[str, list[dict[str, str]]]:
    """Of each optimizer that Optax has too: how far the same call goes apart."""
    return _by_name(_found("the same call"), "the same call")


def _by_name(rows: list[dict[str, str]], key: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for cells in rows:
        found.setdefault(cells[key].strip("`").split("(")[0], []).append(cells)
    return found


@functools.cache
def failure_modes() -> dict[str, Any]:
    """The map: its tasks, and the cells by optimizer and task."""
    path = RESULTS / "failure_modes.json"
    if not path.exists():
        return {"tasks": {}, "cells": {}}
    read = json.loads(path.read_text())
    cells: dict[str, dict[str, Any]] = {}
    for cell in read["cells"]:
        cells.setdefault(cell["optimizer"], {})[cell["task"]] = cell
    return {"tasks": read["tasks"], "cells": cells}
