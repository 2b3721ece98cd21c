"""The page of the playground: one file, with everything that it needs in it."""

import functools
import importlib.resources
import json
import math
import re
from typing import Any

from ..descriptions.describe import describe
from ..descriptions.kinds import by_kind
from ..errors import Interval
from ..plotting import COLOURS
from .equations import live
from .surfaces import SURFACES, Surface, twin as surface_twin
from .twins import PROPORTIONAL, Twin, allowed, built, left_out, names, twin

FIRST = ("sgd", "adagrad", "rmsprop", "adam")
"""The optimizers that are chosen at first."""

SCRIPTS = ("walking.js", "link.js", "drawing.js", "cards.js", "page.js")


@functools.cache
def twins() -> dict[str, Twin]:
    """Return every optimizer of the playground, translated, in the menu's order."""
    ordered = [name for group in by_kind_here().values() for name in group]
    return {name: twin(built(name)) for name in ordered}


def by_kind_here() -> dict[str, list[str]]:
    """Return the names of the optimizers of the playground by their kinds."""
    return _without(names())


def page(version: str) -> str:
    """Return the page as HTML.

    Args:
        version: the version of adamx that is written at its end.
    """
    style = _file("page.css")
    script = "\n".join((_data(), *map(_file, SCRIPTS)))
    if "</script" in script or "</style" in style:
        raise AssertionError("playground: a file would end its own element")
    text = _file("page.html")
    parts = {
        "/*STYLE*/": style,
        "/*SCRIPT*/": f'"use strict";\n{{\n{script}\n}}',
        "<!--LEFT_OUT-->": ", ".join(left_out()),
        "<!--VERSION-->": version,
    }
    for place, part in parts.items():
        text = text.replace(place, part)
    return text


def _without(wanted: list[str]) -> dict[str, list[str]]:
    kinds = by_kind([*wanted, *left_out()])
    found = {kind: [n for n in group if n in wanted] for kind, group in kinds.items()}
    return {kind: group for kind, group in found.items() if group}


def _file(name: str) -> str:
    return (importlib.resources.files(__name__.rpartition(".")[0]) / name).read_text(
        "utf-8"
    )


def _data() -> str:
    """Return the tables of the page, as JavaScript."""
    tables = {
        "COLOURS": _json(COLOURS),
        "FIRST": _json(FIRST),
        "LEFT_OUT": _json(left_out()),
        "SURFACES": _table({n: _surface(s) for n, s in SURFACES.items()}),
        "TWINS": _table(
            {
                name: _optimizer(name, kind, twins()[name])
                for kind, group in by_kind_here().items()
                for name in group
            }
        ),
    }
    return "\n".join(f"const {name} = {text};" for name, text in tables.items())


def _table(rows: dict[str, dict[str, str]]) -> str:
    """Return an object of objects whose values are JavaScript."""
    written = []
    for name, row in rows.items():
        fields = ",\n".join(f"{key}: {text}" for key, text in row.items())
        written.append(f"{name}: {{\n{fields}\n}}")
    return "{\n" + ",\n".join(written) + "\n}"


def _surface(surface: Surface) -> dict[str, str]:
    return {
        "title": _json(surface.title),
        "about": _json(surface.about),
        "x": _json(surface.x),
        "y": _json(surface.y),
        "start": _json(surface.start),
        "sgdRate": _json(surface.sgd_rate),
        "low": _json(surface.low),
        "seen": _json(surface.seen),
        "measure": surface_twin(surface.loss),
    }


def _optimizer(name: str, kind: str, made: Twin) -> dict[str, str]:
    init, step = made.javascript()
    described = describe(made.transformation)
    intervals = allowed(made.transformation)
    numbers = [
        {
            "name": key,
            "value": value,
            "scale": scale(key, value),
            "allowed": [_interval(each) for each in intervals[key]],
        }
        for key, value in made.hyperparameters.items()
    ]
    slots = [
        {"label": _label(slot.name, described.symbols), "place": slot.place}
        for slot in made.slots
    ]
    return {
        "kind": _json(kind),
        "proportional": _json(name in PROPORTIONAL),
        "hyperparameters": _json(numbers),
        "slots": _json(slots),
        "equations": _json(live(made.transformation)),
        "references": _json([each.text for each in described.references]),
        "init": init,
        "step": step,
    }


def _interval(allowed: Interval) -> dict[str, Any]:
    """Return an interval as the page checks it; null is an end at infinity."""
    low, high = (x if math.isfinite(x) else None for x in (allowed.low, allowed.high))
    return {"low": low, "high": high, "closed": allowed.closed, "must": str(allowed)}


def scale(name: str, value: float) -> str:
    """Return the scale of a hyperparameter's slider; "" for a number without one."""
    if name == "learning_rate":
        return "rate"
    if 0.5 <= value < 1:
        return "fraction"
    return "small" if 0 < value <= 1e-3 else ""


def _label(name: str, symbols: dict[str, str]) -> str:
    symbol = re.sub(r"[⟦⟧{}]", "", symbols.get(name, ""))
    return name if symbol in ("", name) else f"{name}: {symbol}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
