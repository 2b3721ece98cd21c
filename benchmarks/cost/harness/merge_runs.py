"""Adds the rows of a run to those of an earlier one on the same machine (`--add`)."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]
HELP = (
    "keep the rows of the JSON that are not measured anew; machine, versions and "
    "settings must be the same"
)
PLACE = ("optimizer", "optimizer", "tree", "storage")  # those that a row has name it
OWN = ("rows", "trees")  # of a document: what may differ between two runs


def earlier(path: pathlib.Path | None) -> Document:
    """The document to which rows are added; empty where there is none."""
    if path is None or not path.exists():
        return {}
    return json.loads(path.read_text())


def together(before: Document, now: Document) -> Document:
    """Both runs as one: the later row where both have one, small trees first.

    Raises:
        SystemExit: they are not of the same machine, versions and settings.
    """
    if not before:
        return now
    now = json.loads(json.dumps(now))
    for name in {*before, *now} - {*OWN}:
        old, new = (_steady(document.get(name)) for document in (before, now))
        if old != new:
            raise SystemExit(
                f"--add: the earlier run must have the {name} of this one, {new}, got "
                f"{old}; measure all anew, without --add."
            )
    both = {**before, **now}
    for name, key in (("rows", _place), ("trees", lambda tree: tree["name"])):
        if name in both:
            found = {key(item): item for item in (*before[name], *now[name])}
            both[name] = _by_size(found.values(), "tree" if name == "rows" else "name")
    return both


def _steady(value: Any) -> Any:
    """Without the load of the machine, which is of the moment."""
    if isinstance(value, Mapping):
        return {k: v for k, v in value.items() if k != "load"}
    return value


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in PLACE)


def _by_size(items: Iterable[Any], name: str) -> list[Any]:
    return sorted(items, key=lambda item: int(item.get(name, 0)))
