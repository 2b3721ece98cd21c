"""The figures of `benchmarks memory` as text and as tables of docs/storage.md."""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.cost.harness.options import RESULTS
from benchmarks.cost.harness.report import aligned


def _bars(bars: Sequence[dict[str, Any]]) -> str:
    rows = [["bar", "at most", "measured", ""]]
    for bar in bars:
        met = "met" if bar["met"] else "missed"
        rows.append([bar["what"], f"{bar['limit']:g}", f"{bar['measured']:.4g}", met])
    return aligned(rows)


def sizes(found: dict[str, Any]) -> list[list[str]]:
    head = ["AdamW kept as", "state", "weight", "both", "and gradient"]
    keys = ("state", "weight", "kept", "with gradient")
    rows = [[r["form"], *(f"{r[k]:.4g}" for k in keys)] for r in found["rows"]]
    return [head, *rows]


def staleness(found: list[dict[str, Any]]) -> list[list[str]]:
    keys = [k for k in found[0] if k not in ("form", "met")]
    rows = [[r["form"], *(f"{r[k]:.3g}" for k in keys)] for r in found]
    return [["both moments kept as", *keys], *rows]


def speed(rows: list[dict[str, Any]]) -> list[list[str]]:
    head = ["AdamW kept as", "step / Optax", "adamx.step / Optax", "ms"]
    head.append("temporary bytes a parameter")

    def ratio(r: dict[str, Any], key: str, quartiles: str) -> str:
        low, high = r[quartiles]
        return f"{r[key]:.2f} ({low:.2f}–{high:.2f})"

    return [head] + [
        [
            r["form"],
            ratio(r, "ratio", "quartiles"),
            ratio(r, "in one", "in one, quartiles"),
            " / ".join(f"{ms:.1f}" for ms in r["ms"]),
            " / ".join(f"{x:.1f}" for x in r["temporary"]),
        ]
        for r in rows
    ]


def parity(rows: list[dict[str, Any]]) -> list[list[str]]:
    head = ["AdamW kept as", "test loss", "off float32", "seed noise", "within"]
    return [head] + [
        [
            r["form"],
            f"{sum(r['test']) / len(r['test']):.4f}",
            f"{r['off']:+.4f} ± {r['off_error']:.4f}",
            f"{r['seed_noise']:.4f}",
            "yes" if r["within"] else "no",
        ]
        for r in rows
    ]


def of(part: str, found: Any) -> str:
    """One part as text."""
    if part == "sizes":
        text = [aligned(sizes(found)), _bars(found["bars"])]
    elif part == "combine":
        from benchmarks.cost.memory import combine

        text = [
            aligned(combine.text(found)),
            "in brackets: `adamx.store` raises an error",
        ]
    elif part == "staleness":
        text = [aligned(staleness(found))]
    elif part == "speed":
        settings = found["settings"].items()
        text = [
            f"{setting}, {tree}\n{aligned(speed(rows))}"
            for setting, trees in settings
            for tree, rows in trees.items()
        ] + [_bars(found["bars"])]
    else:
        text = [f"{task}\n{aligned(parity(rows))}" for task, rows in found.items()]
    return "\n\n".join([f"== {part}", *text, ""])


def markdown(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# ---- tables of docs/storage.md -------------------------------------------------------


def _kept() -> dict[str, Any]:
    return json.loads((RESULTS / "memory.json").read_text())


def sizes_table() -> str:
    return markdown(sizes(_kept()["sizes"]))


def staleness_table() -> str:
    return markdown(staleness(_kept()["staleness"]))


def parity_table() -> str:
    rows = [["data", *parity([])[0]]]
    for task, found in _kept()["parity"].items():
        rows += [[task, *row] for row in parity(found)[1:]]
    return markdown(rows)


def speed_table() -> str:
    """One big leaf and forty, as XLA is, and with huge pages."""
    settings = _kept()["speed"]["settings"]
    pages = ["with huge pages", "and in one"]
    rows = [["tree", *speed([])[0], *pages]]
    for tree, found in settings["plain"].items():
        huge = [row[1:3] for row in speed(settings["huge pages"][tree])[1:]]
        plain = speed(found)[1:]
        rows += [[tree, *row, *h] for row, h in zip(plain, huge, strict=True)]
    return markdown(rows)


def combine_table() -> str:
    """Optimizers × codecs: the slots that each takes; in brackets, the rest."""
    from benchmarks.cost.memory import combine

    return markdown(combine.text(_kept()["combine"]))
