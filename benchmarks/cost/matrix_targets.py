"""Muon's and SOAP's steps compiled for a CPU, an H100 and a TPU v5e.

    python -m benchmarks.cost.matrix_targets TARGET CASE

compiles one case and prints its row as JSON; `rows` gives each a process of its own,
which is ended after LIMIT seconds.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from optax import contrib

import adamx
from adamx.compiled.targets import TARGETS, missing
from adamx.parts.tree_axes import AxesByName
from benchmarks.cost.compiled.row import prepare, row
from benchmarks.cost.harness import options
from benchmarks.cost.harness.trees import square
from benchmarks.cost.memory.sizes import gpt2

LIMIT = 180
"""Seconds after which a compilation counts as not ended."""


def muon(shaped: Any) -> dict[str, Callable[[], Any]]:
    """The two libraries' Muon: the same leaves are matrices to both."""
    dims = AxesByName().as_dimension_numbers(shaped)
    return {
        "adamx": lambda: adamx.muon(0.02),
        "optax": lambda: contrib.muon(0.02, muon_weight_dimension_numbers=dims),
    }


TREES: dict[str, Callable[[], Any]] = {
    "12 × 512²": lambda: square(512, 12),
    "GPT-2 small": gpt2,
    "1 × 4096²": lambda: square(4096, 1),
}
SOAP = {
    "soap()": lambda: adamx.soap(3e-3),
    "soap(max_dim=1024)": lambda: adamx.soap(3e-3, max_dim=1024),
    "soap(block_size=1024)": lambda: adamx.soap(3e-3, block_size=1024),
    "soap(block_size=512)": lambda: adamx.soap(3e-3, block_size=512),
    "soap(block_size=256)": lambda: adamx.soap(3e-3, block_size=256),
}


def cases() -> dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Each case: its tree's name, the tree's maker, the optimizer's."""
    found = {}
    for tree, make in TREES.items():
        for side in ("adamx", "optax"):
            found[f"{side}, muon, {tree}"] = (
                tree,
                make,
                lambda make=make, side=side: muon(make())[side](),
            )
    for name, tx in SOAP.items():
        found[f"adamx, {name}, 2048²"] = ("2048²", lambda: square(2048, 1), tx)
    return found


def one(target: str, case: str) -> dict[str, Any]:
    """The row of one case, compiled in this process."""
    prepare()
    tree, shaped, make = cases()[case]
    figures, _ = row(make(), shaped(), TARGETS[target])
    return {"target": target, "tree": tree, "case": case, **figures}


def rows(targets: list[str], progress: Callable[[str], None]) -> Iterator[dict]:
    for target in targets:
        if why := missing(TARGETS[target]):
            progress(why)
            continue
        for case, (tree, _, _) in cases().items():
            command = [sys.executable, "-m", __name__, target, case]
            found = {"target": target, "tree": tree, "case": case}
            try:
                done = subprocess.run(
                    command, timeout=LIMIT, check=True, stdout=subprocess.PIPE
                )
                found = json.loads(done.stdout.splitlines()[-1])
            except subprocess.TimeoutExpired:
                found["not run"] = f"not compiled after {LIMIT} s"
            progress(json.dumps(found, ensure_ascii=False))
            yield found


COLUMNS = ("target", "case", "kernels", "products", "products run", "temporaries")
HEAD = [*COLUMNS, "compile, s"]


def line(found: dict[str, Any]) -> list[str]:
    if "not run" in found:
        return [found["target"], found["case"], *["–"] * 4, found["not run"]]
    named = [found[k] if k in COLUMNS[:2] else f"{found[k]:g}" for k in COLUMNS]
    return [*named, f"{found['compile']:g}"]


def table() -> Iterator[tuple[str, ...]]:
    """The recorded rows."""
    kept = json.loads((options.RESULTS / "matrices.json").read_text())
    yield from (tuple(line(one)) for one in kept.get("targets", ()))


if __name__ == "__main__":
    print(json.dumps(one(*sys.argv[1:])))
