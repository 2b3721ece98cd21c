"""torch.optim's rows of `accelerator`: AdamW foreach and fused, and Muon.

Reads the trees' shapes as JSON from standard input, and prints a row of JSON for each.
It knows nothing of JAX, which would share the device's memory.
"""

import functools
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.cost.accelerator.seconds import seconds_of


def main() -> int:
    given = json.load(sys.stdin)
    try:
        import torch
    except ImportError:
        print(json.dumps({"side": "torch", "not run": "torch is not installed"}))
        return 0
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def made(shapes: list[Any]) -> list[Any]:
        torch.manual_seed(0)
        leaves = [
            torch.nn.Parameter(torch.randn(shape, device=device)) for shape, _ in shapes
        ]
        for leaf in leaves:
            leaf.grad = 1e-2 * torch.randn_like(leaf)
        return leaves

    def adamw(leaves: list[Any], shapes: Any, **how: bool) -> Callable[[], Any]:
        tx = torch.optim.AdamW(leaves, lr=1e-3, weight_decay=1e-2, **how)
        return tx.step

    def muon(leaves: list[Any], shapes: Any) -> Callable[[], Any]:
        """Muon for the leaves that are so marked, fused AdamW for the rest."""
        both = list(zip(leaves, shapes, strict=True))
        matrices = [x for x, (_, is_matrix) in both if is_matrix]
        rest = [x for x, (_, is_matrix) in both if not is_matrix]
        steps = [torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0).step]
        if rest:
            steps.append(torch.optim.AdamW(rest, lr=1e-3, fused=True).step)
        return lambda: [step() for step in steps]

    sides = {
        "adamw": {
            "torch, fused": functools.partial(adamw, fused=True),
            "torch, foreach": functools.partial(adamw, foreach=True),
        },
        "muon": {"torch, bfloat16": muon},
    }
    for optimizer, trees in given["trees"].items():
        for tree, shapes in trees.items():
            for side, of in sides[optimizer].items():
                row = {"optimizer": optimizer, "tree": tree, "side": side}
                try:
                    once = of(made(shapes), shapes)
                    seconds = seconds_of(once, wait, given["samples"])
                except (RuntimeError, AttributeError) as error:
                    why = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                    print(json.dumps(row | {"not run": why}), flush=True)
                    continue
                ideal = sum(  # parameters and moments both ways, gradients read
                    (8 + 4 + (8 if is_matrix else 16)) * math.prod(shape)
                    for shape, is_matrix in shapes
                )
                row |= {"seconds": sorted(seconds), "ideal bytes": ideal}
                print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
