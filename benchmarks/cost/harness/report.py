"""Writes a run: its table, its verdicts, and its JSON."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import jax

from benchmarks.cost.harness import merge_runs as adding
from benchmarks.cost.harness.compare import Row
from benchmarks.cost.harness.trees import Tree

Kept = TypeVar("Kept")

STAGES = ("trace", "lower", "compile", "step", "step, CPU", "eager")


def environment(device: jax.Device) -> dict[str, Any]:
    """What a reader needs in order to place the figures."""
    packages = ("jax", "jaxlib", "optax", "numpy")
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def version(package: str) -> str:
    """A package's version, or that it is missing."""
    if importlib.util.find_spec(package) is None:
        return "missing"
    return importlib.metadata.version(package)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def verdict(row: Row) -> str:
    if not row.bars:
        return "not judged"
    missed = [bar.what for bar in row.bars if not bar.met]
    return f"miss: {', '.join(missed)}" if missed else "pass"


def line(row: Row) -> list[str]:
    if row.ours is None or row.counterpart is None:
        return [row.optimizer, *["–"] * (len(STAGES) + 2), verdict(row)]
    step = row.ratios["step"]
    return [
        row.optimizer,
        *(str(row.ratios[stage]) for stage in STAGES),
        f"{step.ours * 1e3:.2f} / {step.theirs * 1e3:.2f}",
        f"{row.ours.temporary_bytes} / {row.counterpart.temporary_bytes}",
        verdict(row),
    ]


HEAD = ["optimizer", *STAGES, "step, ms", "temporary, bytes", "bars"]


def table(rows: Sequence[Row], trees: Sequence[Tree], peer: str = "optax") -> str:
    """Ratios of adamx to its peer, one block of lines for each tree."""
    blocks = []
    for tree in trees:
        here = [line(row) for row in rows if row.tree == tree.name]
        if here:
            blocks.append(f"{tree} parameters\n{aligned([HEAD, *here])}")
    about = (
        f"adamx / {peer}: median ratio (95 % interval); smaller is better\n"
        "trace, lower, compile: CPU time; step and eager: wall time"
    )
    return "\n\n".join([about, *blocks])


def misses(rows: Sequence[Row]) -> str:
    """Every bar that was missed, one line each."""
    judged = [(row, bar) for row in rows for bar in row.bars]
    if not judged:
        return "No bar is judged in this run: it is a quick or a null one."
    missed = [(row, bar) for row, bar in judged if not bar.met]
    sentences = [
        f"missed: {row.optimizer} on tree {row.tree}: {bar.what} must be {bar.limit}, "
        f"measured {bar.measured}"
        for row, bar in missed
    ]
    sentences.append(f"{len(judged) - len(missed)} of {len(judged)} bars are met.")
    return "\n".join(sentences)


def forms(rows: Sequence[Row]) -> str:
    """What arithmetic each pair was brought to, and how far apart its sides are."""
    lines = {
        row.optimizer: [
            row.optimizer,
            f"{row.sameness['float64']:.0e}",
            f"{row.sameness['float32']:.0e}",
            row.form,
        ]
        for row in rows
    }
    head = ["optimizer", "float64", "float32", "the form that both sides compute"]
    return (
        "largest relative difference of the two sides, 30 steps\n"
        f"{aligned([head, *lines.values()])}"
    )


def document(
    rows: Iterable[Any], trees: Sequence[Tree], settings: Any, **more: Any
) -> dict[str, Any]:
    """A run as data. Seconds are medians, ratios are ours over theirs."""
    return {
        **more,
        "settings": dataclasses.asdict(settings),
        "trees": [dataclasses.asdict(tree) for tree in trees],
        "rows": [dataclasses.asdict(row) for row in rows],
    }


def kept(
    rows: Iterable[Kept],
    path: pathlib.Path | None,
    trees: Sequence[Tree],
    settings: Any,
    before: adding.Document | None = None,
    **more: Any,
) -> list[Kept]:
    """The rows as a list, written as data after each: a run cut short leaves those it
    had. They are added to those of the document `before`."""
    known: list[Kept] = []
    adding.together(before or {}, document(known, trees, settings, **more))
    for row in rows:
        known.append(row)
        if path is None:
            continue
        data = document(known, trees, settings, **more)
        data = adding.together(before or {}, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return known
