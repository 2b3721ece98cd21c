"""What was measured and is committed: the tables of docs/, the failure-mode map."""

import functools
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
RESULTS = DOCS.parent / "benchmarks" / "results"


def _rows(text: str, head: str) -> dict[str, dict[str, str]]:
    """The first table whose first cells are `head`, by its first column."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if not line.startswith(f"| {head} |"):
            continue
        titles = _cells(line)
        found = {}
        for row in lines[place + 2 :]:
            if not row.startswith("|"):
                break
            cells = _cells(row)
            found[cells[0].strip("`")] = dict(zip(titles, cells, strict=False))
        return found
    return {}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Of each optimizer: bytes, reach, deviations, parts, state, variants."""
    texts = [path.read_text() for path in sorted(DOCS.glob("*.md"))]
    found: dict[str, dict[str, str]] = {}
    for head in ("optimizer | bytes", "optimizer | made of"):
        rows = next(filter(None, (_rows(text, head) for text in texts)), None)
        if rows is None:
            raise SystemExit(f"docs: no page has the table that begins `{head}`.")
        for name, cells in rows.items():
            found.setdefault(name, {}).update(cells)
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
        cells.setdefault(cell["member"], {})[cell["task"]] = cell
    return {"tasks": read["tasks"], "cells": cells}
