"""`python -m benchmarks parity`: every optimizer on an accelerator and on the CPU.

The largest difference of the updates of the same run in float32, relative to each
element's largest update; beside it that of float32 and float64 on the CPU, which is
what rounding alone makes of it.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import roster
from benchmarks.cost.harness import options, parity, report

STEPS = 20


def gap(make: Callable[[], Any], device: jax.Device) -> dict[str, float]:
    """The two differences of one optimizer."""
    grads = parity.gradients(STEPS)
    host = jax.devices("cpu")[0]

    def run(place: jax.Device, dtype: str) -> Any:
        with jax.default_device(place), jax.enable_x64(dtype == "float64"):
            return parity.updates_of(make, grads, dtype)

    there, here, exact = (
        run(device, "float32"),
        run(host, "float32"),
        run(host, "float64"),
    )
    return {
        "accelerator": parity.difference(there, here),
        "rounding": parity.difference(here, exact),
    }


HEAD = ["optimizer", "accelerator and CPU", "float32 and float64"]


def line(row: dict[str, Any]) -> list[str]:
    if "not run" in row:
        return [row["optimizer"], row["not run"], ""]
    return [row["optimizer"], f"{row['accelerator']:.1e}", f"{row['rounding']:.1e}"]


def markdown(above: float = 1e-6) -> str:
    """How many optimizers are within rounding, and the rows of the others."""
    rows = json.loads((options.RESULTS / "parity.json").read_text())["rows"]
    run = [row for row in rows if "not run" not in row]
    far = [row for row in run if row["accelerator"] > above]
    lines = map(line, sorted(far, key=lambda row: -row["accelerator"]))
    table = report.markdown([HEAD, *lines])
    known = {row["optimizer"] for row in run}
    later = ", ".join(f"`{name}`" for name in roster.FROM_RATE if name not in known)
    return (
        f"{len(run) - len(far)} of {len(run)} optimizers differ by at most {above:g}. "
        f"Not run there, as they are newer or need a Hessian: {later or 'none'}. The "
        f"others that were run:\n\n{table}"
    )


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks parity", description=__doc__)
    parser.add_argument("--optimizers", help="separated by commas (default: all)")
    parser.add_argument("--minutes", type=float, default=8, help="start none later")
    parser.add_argument("--json", type=Path, help="where the rows go, after each")
    given = parser.parse_args(argv)
    device = jax.devices()[0]
    names = given.optimizers.split(",") if given.optimizers else roster.FROM_RATE
    deadline = time.monotonic() + 60 * given.minutes
    rows = []
    for name in names:
        row: dict[str, Any] = {"optimizer": name}
        if time.monotonic() > deadline:
            row["not run"] = "the time was over"
        elif extra := roster.extra_arguments(roster.built(name)):
            row["not run"] = f"needs {', '.join(sorted(extra))}"
        else:
            row |= gap(lambda name=name: roster.built(name), device)
        rows.append(row)
        options.progress(json.dumps(row))
        if given.json:
            kept = {"environment": report.environment(device), "rows": rows}
            given.json.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"{device.device_kind} against CPU, float32, {STEPS} steps")
    print(report.aligned([HEAD, *map(line, rows)]))
    return 0
