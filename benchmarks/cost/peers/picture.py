"""Writes the table of `peers`: on the terminal, and in docs/speed.md from its JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.cost.harness.options import RESULTS
from benchmarks.cost.harness.report import aligned
from benchmarks.cost.peers.case import SIDES

PATH = RESULTS / "peers.json"
HEAD = (
    "optimizer",
    "leaves",
    "storage",
    "library",
    "step, ms (quartiles)",
    "adamx / it (95 %)",
    "compile, s",
    "state, bytes per parameter",
    "peak memory, MiB (import)",
    "of copy",
    "apart",
)


def cells(row: dict[str, Any], side: str, parameters: int) -> tuple[str, ...]:
    """One line of the table."""
    found = row["results"][side]
    low, median, high = (1e3 * x for x in found["step"])
    ratio, seconds, share = found["ratio"], found["compile"], found["of_copy"]
    return (
        row["optimizer"],
        row["tree"],
        row["storage"],
        side,
        f"{median:.2f} ({low:.2f}–{high:.2f})",
        f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})",
        "eager" if seconds is None else f"{seconds:.2f}",
        f"{found['state_bytes'] / parameters:.3g}",
        f"{found['peak_bytes'] / 2**20:.0f} ({found['base_bytes'] / 2**20:.0f})",
        "–" if share is None else f"{share:.0%}",
        f"{found['apart']:.0e}",
    )


def lines(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    sizes = {t["name"]: t["leaves"] * t["size"] for t in document["trees"]}
    for row in document["rows"]:
        for side in SIDES:
            if side in row["results"]:
                yield cells(row, side, sizes[row["tree"]])


def absent(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each reason that a side was not measured, with its cases."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for side, why in row["missing"].items():
            place = f"{row['optimizer']} on {row['tree']} in {row['storage']}"
            reasons.setdefault((side, why), []).append(place)
    return [
        f"{side} is missing from {len(places)} of {len(rows)} cases: {why}."
        for (side, why), places in reasons.items()
    ]


def text(document: dict[str, Any]) -> str:
    """The whole table for a terminal."""
    table = aligned([HEAD, *lines(document)])
    return "\n".join([table, "", *absent(document["rows"])]).rstrip()


def markdown() -> str:
    """The table of docs/speed.md: every side of every case that was measured."""
    document = json.loads(PATH.read_text())
    where, settings = document["environment"], document["settings"]
    measured = {row["tree"] for row in document["rows"]}
    trees = "; ".join(
        f"{t['name']}: {t['leaves']:,} × {t['size']:,}"
        for t in document["trees"]
        if t["name"] in measured
    )
    rows = [HEAD, ["---"] * len(HEAD), *lines(document)]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    samples = 2 * settings["rounds"] * settings["repeats"]
    about = (
        f"{where['processor']}, each side pinned to {len(document['cores'])}; "
        f"jax {where['jax']}, optax {where['optax']}, torch {where['torch']}; "
        f"{samples} interleaved samples of each side. Leaves × elements: {trees}."
    )
    return "\n\n".join([about, body, *absent(document["rows"])])
