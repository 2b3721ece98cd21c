"""What stands beside a measured row: the program that is compiled without a device."""

import functools
import json
from typing import Any

from benchmarks.cost import matrix_errors
from benchmarks.cost.compiled import command as compiled

TARGET = "h100"
TREES = {"1 × 134,217,728": "2048²"}
"""The tree whose program, of one leaf too, has the same figures for a parameter."""

ONE_LEAF = 1 << 27


def beside(row: dict[str, Any]) -> str:
    """Kernels, bytes a parameter and least milliseconds; nothing if not on record."""
    found = _programs().get((row.get("tree", ""), row["side"]))
    if found is None:
        return ""
    seconds = found["seconds"]
    if row["tree"] in TREES:
        seconds *= ONE_LEAF / 2048**2
    return f"{found['kernels']:g}, {found['bytes']:.4g}, {1e3 * seconds:.3f}"


@functools.cache
def _programs() -> dict[tuple[str, str], dict[str, Any]]:
    """The recorded rows of the H100, by the tree and the side of a measured one."""
    found = {}
    names = {compiled_as: tree for tree, compiled_as in TREES.items()}
    for row in json.loads(compiled.RECORD.read_text())["rows"]:
        if row["target"] == TARGET:
            found[names.get(row["tree"], row["tree"]), _side(row["case"])] = row
    for row in json.loads(matrix_errors.RESULTS.read_text())["targets"]:
        library, _, rest = row["case"].partition(", muon, ")
        if row["target"] == TARGET and rest == row["tree"] and "bytes" in row:
            for precision in ("highest", "default"):
                found[row["tree"], f"{library}, {precision}"] = row
    return found


def _side(case: str) -> str:
    """The side of the measured table that a compiled case is of."""
    if case == "optax.adamw":
        return "optax, float32"
    name = case.removeprefix("adamw, ")
    for end, side in ((", fused step", "adamx.fused"), (", step", "adamx.step")):
        if name.endswith(end):
            return f"{side}, {name.removesuffix(end)}"
    return f"adamx, {name}"
