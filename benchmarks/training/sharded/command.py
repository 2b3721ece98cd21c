"""`python -m benchmarks sharded`: a mesh of 8 devices, its losses beside those of one.

The trainer takes the first half of the micro-batches on 4 × 2 devices, and stops inside
an accumulation; from its checkpoint go on the same mesh, one of 2 × 4 and a single
device. The reference runs on a single device from the first to the last.

In float32 a sum over devices is rounded otherwise than on one. Where the state is in 8
bits, a number near the middle of two codes may then get the other one, and the runs
part by the distance of two codes. In float64 roundings are 5e8 times as small: hardly a
number is that near, and where no code differs the arithmetic alone is compared.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.cost.harness import options, report
from benchmarks.training.sharded.trainer import EIGHT, MODELS, place, train

NUMBERS: dict[str, tuple[Any, bool]] = {
    "float32": (None, False),
    "float32, state in 8 bits": (EIGHT, False),
    "float64, state in 8 bits": (EIGHT, True),
}
"""What is compared: the codec of the state, and whether the rest is in float64."""
MESHES = {"4 × 2": (4, 2), "2 × 4": (2, 4), "1": (1, 1)}
TRAINED_ON = "4 × 2"


def differing(ours: Any, theirs: Any) -> tuple[int, int]:
    """How many codes of two states differ, and of how many."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    codes = [
        (np.asarray(a), np.asarray(b))
        for a, b in pairs
        if a.dtype.itemsize == 1 and a.ndim
    ]
    return sum(int((a != b).sum()) for a, b in codes), sum(a.size for a, _ in codes)


def compare(
    kind: str, codec: Any, x64: bool, steps: int, meshes: Sequence[str] = tuple(MESHES)
) -> dict[str, Any]:
    """The losses of one device, of the mesh, and of those that go on after it.

    With each mesh the largest difference of a loss from that of one device, and the
    codes of the state that differ at the end.
    """
    how = {"codec": codec}
    half = steps // 2 | 1  # odd: one micro-batch is in the sum of the next step
    with jax.enable_x64(x64), tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "half"
        alone, want = train(kind, place(1, 1), range(steps), **how)
        first, _ = train(kind, place(*MESHES[TRAINED_ON]), range(half), save=at, **how)
        rows = []
        for name in meshes:
            mesh = place(*MESHES[name])
            rest, got = train(kind, mesh, range(half, steps), begin=at, **how)
            off = np.abs(np.concatenate([first, rest]) - alone)
            other, of = differing(got, want)
            rows.append(
                {
                    "then_on": name,
                    "losses": rest.tolist(),
                    "off": float(off.max()),
                    "codes_differ": other,
                    "codes": of,
                }
            )
    return {"alone": alone.tolist(), "first": first.tolist(), "then": rows}


def run(steps: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each model and each kind of numbers."""
    rows = []
    for kind in MODELS:
        for numbers, (codec, x64) in NUMBERS.items():
            found = compare(kind, codec, x64, steps)
            rows.append({"model": kind, "numbers": numbers, **found})
            progress("; ".join(" | ".join(cells) for cells in cells_of(rows[-1])))
    return rows


HEAD = ["model", "numbers", "trained on", "loss", "off", "codes that differ"]


def cells_of(row: dict[str, Any]) -> list[list[str]]:
    """The lines of a row: one for each mesh that goes on."""
    lines = []
    for then in row["then"]:
        on = (
            TRAINED_ON
            if then["then_on"] == TRAINED_ON
            else f"{TRAINED_ON}, {then['then_on']}"
        )
        codes = (
            f"{then['codes_differ']:,} of {then['codes']:,}" if then["codes"] else "–"
        )
        lines.append(
            [
                row["model"],
                row["numbers"],
                on,
                f"{row['alone'][0]:.3f} → {then['losses'][-1]:.3f}",
                f"{then['off']:.1e}",
                codes,
            ]
        )
    return lines


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [HEAD, *(cells for row in rows for cells in cells_of(row))]


def markdown() -> str:
    """The table of the document: a line for each model and kind of numbers."""
    rows = json.loads((options.RESULTS / "sharded.json").read_text())["rows"]
    ways = [name if name == TRAINED_ON else f"then {name}" for name in MESHES]
    lines = [["model", "numbers", "loss", *ways, "codes that differ"]]
    for row in rows:
        cells = cells_of(row)
        codes = [cell[5] for cell in cells if cell[4] == max(c[4] for c in cells)]
        lines.append([*cells[0][:2], cells[0][3], *(c[4] for c in cells), codes[0]])
    return report.markdown(lines)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks sharded", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--steps", type=options.positive, default=40, help="micro-batches"
    )
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    rows = run(given.steps, options.progress)
    print(report.aligned(table(rows)))
    kept = {
        "environment": report.environment(jax.devices()[0]),
        "steps": given.steps,
        "rows": rows,
    }
    path = options.record(given.json, argv, "sharded")
    if path:
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return 0
