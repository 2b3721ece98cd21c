"""What AdamW costs on which machine, in one table: read from the records of the others.

Every figure is a ratio to `optax.adamw` in float32 on the same machine and tree: of the
time of a step where one was measured, of the bytes that the compiled step moves where
the program was read without its machine.
"""

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.cost.harness.options import RESULTS

HEAD = "machine | parameters | call | float32 | bfloat16 | 8 bits | 4 bits"
STORAGES = ("float32", "bfloat16", "8 bits", "4 bits")
MACHINES = {"h100": "H100, bytes", "tpu-v5e": "TPU v5e, bytes"}


def run_of(name: str) -> dict[str, Any]:
    """The record of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def rows_of(name: str) -> list[dict[str, Any]]:
    """The rows of the record of a benchmark."""
    return run_of(name)["rows"]


def table() -> Iterator[tuple[str, ...]]:
    """The rows: measured on a CPU and a GPU, then counted for a GPU and a TPU."""
    yield from _on_a_cpu()
    yield from _on_a_gpu()
    yield from _counted()


def _on_a_cpu() -> Iterator[tuple[str, ...]]:
    rows = rows_of("fused")
    for tree in dict.fromkeys(row["tree"] for row in rows):
        for side, call in (("plain", "adamx.step"), ("fused", "… of fused(tx)")):
            of = {r["storage"]: r[side]["ratio"][1] for r in rows if r["tree"] == tree}
            yield "CPU, 2 cores", tree, call, *_cells(of)


def _on_a_gpu() -> Iterator[tuple[str, ...]]:
    rows = [r for r in rows_of("accelerator") if r["optimizer"] == "adamw"]
    seconds = {
        (r["tree"], r["side"]): sorted(r["seconds"])[len(r["seconds"]) // 2]
        for r in rows
        if "seconds" in r
    }
    for tree in dict.fromkeys(row["tree"] for row in rows):
        theirs = seconds.get((tree, "optax, float32"))
        if theirs is None:
            continue
        of = {
            storage: seconds[tree, f"adamx, {storage}"] / theirs
            for storage in STORAGES
            if (tree, f"adamx, {storage}") in seconds
        }
        yield "H200", tree, "tx.update", *_cells(of)
        of = {"float32": seconds[tree, "torch, fused"] / theirs}
        yield "H200", tree, "torch, fused", *_cells(of)


def _counted() -> Iterator[tuple[str, ...]]:
    rows = {
        (r["target"], r["tree"], r["case"]): r["bytes"] for r in rows_of("compiled")
    }
    for target, machine in MACHINES.items():
        theirs = rows[target, "2048²", "optax.adamw"]
        for call, ending in (("tx.update", ""), ("step of fused(tx)", ", fused step")):
            of = {
                storage: rows[target, "2048²", f"adamw, {storage}{ending}"] / theirs
                for storage in STORAGES
            }
            yield machine, "2048²", call, *_cells(of)


def _cells(of: dict[str, float]) -> list[str]:
    return [f"{of[s]:.2f}" if s in of else "–" for s in STORAGES]
