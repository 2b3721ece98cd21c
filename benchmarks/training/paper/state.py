"""Figure 8: the bytes that each optimizer keeps, for the claim "two extra vectors"."""

from collections.abc import Callable
from typing import Any

import jax
import matplotlib.pyplot as plt

from benchmarks.training import transformer
from benchmarks.training.paper import models
from benchmarks.training.paper.claim import FAILS, HOLDS, Claim
from benchmarks.training.paper.entries import ENTRIES
from benchmarks.training.step_share import command as share

TITLE = "Figure 8: bytes of state for each parameter"
BYTES = 4  # of a float32


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    """Counted on the arrays that `init` makes, not on their shapes."""
    key = jax.random.key(0)
    trees = {
        "perceptron of 1000-1000": models.perceptron(key, (784, 1000, 1000, 10)),
        "transformer of 5 × 128": transformer.init(key, share.SIZE),
    }
    rows = []
    for name, params in trees.items():
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        for entry in ENTRIES.values():
            state = jax.block_until_ready(entry.make(entry.usual).init(params))
            kept = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
            row = {"tree": name, "optimizer": entry.name, "parameters": count}
            rows.append({**row, "bytes": kept})
    return {"rows": rows}


def of_tree(result: dict[str, Any], tree: str) -> dict[str, float]:
    return {
        row["optimizer"]: row["bytes"] / row["parameters"]
        for row in result["rows"]
        if row["tree"] == tree
    }


def draw(result: dict[str, Any]) -> Any:
    trees = list(dict.fromkeys(row["tree"] for row in result["rows"]))
    figure, axis = plt.subplots(figsize=(8, 5), layout="tight")
    for i, tree in enumerate(trees):
        held = of_tree(result, tree)
        places = [k + (i - 0.5) * 0.35 for k in range(len(held))]
        bars = axis.barh(places, list(held.values()), 0.35, label=tree)
        axis.bar_label(bars, fmt="%.3g", fontsize=7, padding=2)
    axis.set_yticks(range(len(held)), list(held))
    axis.invert_yaxis()
    axis.set_xlabel("bytes of state for each float32 parameter")
    axis.legend()
    return figure


def claims(result: dict[str, Any]) -> list[Claim]:
    held = of_tree(result, "transformer of 5 × 128")
    told = ", ".join(f"{name} {size:.4g}" for name, size in held.items())
    vectors = held["Adam"] / BYTES
    return [
        Claim(
            "Adam keeps two extra vectors",
            "Algorithm 1; abstract: “little memory requirements”",
            HOLDS if abs(vectors - 2) < 1e-3 else FAILS,
            f"bytes of state for each float32 parameter of a transformer: {told}",
        )
    ]
