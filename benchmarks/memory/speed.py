"""Step time and temporary bytes of each form beside `optax.adamw` in float32.

Each setting of XLA and of the allocator is a process of its own, in which the forms
and Optax take turns: the ratios are of neighbours in time. A step is `update` and
`optax.apply_updates`, params and state donated.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.measure import Clocks, step_of, timed
from benchmarks.memory.forms import BY_NAME, Form

TREES = {"one leaf": (1, 32_000_000), "40 leaves": (40, 800_000)}
QUICK = {"one leaf": (1, 65_536), "40 leaves": (3, 8_192)}
SEQUENTIAL = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
SETTINGS = {
    "plain": {},
    "sequential": {"XLA_FLAGS": SEQUENTIAL},
    "huge pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}
BARS = {"bfloat16": 1.2, "8 bits": 4.0}
NAMES = ("float32", "bfloat16", "8 bits", "8 bits, dither", "4 bits", "7 bytes")
CONTROLS = ("bfloat16, to nearest", "8 bits companded, to nearest")


class Side:
    """A compiled step with params and state of its own."""

    def __init__(self, tx: Any, dtype: Any, leaves: int, size: int) -> None:
        rng = np.random.default_rng(0)
        self.grads = [
            jnp.asarray(rng.standard_normal(size, np.float32), dtype)
            for _ in range(leaves)
        ]
        self.params = [jnp.full((size,), k + 1.0, dtype) for k in range(leaves)]
        self.state = tx.init(self.params)
        step = jax.jit(step_of(tx), donate_argnums=(0, 1))
        self.step = step.lower(self.params, self.state, self.grads).compile()
        self.temporary = self.step.memory_analysis().temp_size_in_bytes
        for _ in range(2):
            self.once()

    def once(self) -> float:
        seconds, result = timed(
            Clocks(), self.step, self.params, self.state, self.grads
        )
        self.params, self.state = result
        return seconds.wall


def measure(form: Form, leaves: int, size: int, repeats: int) -> dict[str, Any]:
    """The form and Optax in turns; medians, and the spread of the ratios."""
    ours = Side(form.tx(), form.params, leaves, size)
    theirs = Side(optax.adamw(1e-3), jnp.float32, leaves, size)
    pairs = np.array([(ours.once(), theirs.once()) for _ in range(repeats)])
    ratios = pairs[:, 0] / pairs[:, 1]
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    n = leaves * size
    return {
        "form": form.name,
        "ratio": float(median),
        "quartiles": [float(low), float(high)],
        "ms": [float(x * 1e3) for x in np.median(pairs, 0)],
        "temporary": [ours.temporary / n, theirs.temporary / n],
        "largest leaves": ours.temporary / (4 * size),
    }


def here(quick: bool, repeats: int) -> dict[str, Any]:
    """All trees and forms in this process."""
    trees = QUICK if quick else TREES
    return {
        tree: [measure(BY_NAME[name], *of, repeats) for name in (*NAMES, *CONTROLS)]
        for tree, of in trees.items()
    }


def run(quick: bool, repeats: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Every setting in a process of its own."""
    results = {}
    for name, extra in SETTINGS.items():
        progress(f"step time, {name}: {' '.join('='.join(x) for x in extra.items())}")
        command = [sys.executable, "-m", "benchmarks.memory.speed", str(repeats)]
        out = subprocess.run(
            command + (["--quick"] if quick else []),
            env=os.environ | extra,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        results[name] = json.loads(out)
    return results


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    judged = []
    for tree, rows in results["plain"].items():
        for row in rows:
            if row["form"] in BARS:
                limit, (low, _) = BARS[row["form"]], row["quartiles"]
                what = f"step, {row['form']}, {tree}"
                met = row["ratio"] <= limit or low <= limit
                judged.append(
                    {"what": what, "limit": limit, "measured": row["ratio"], "met": met}
                )
    return judged


if __name__ == "__main__":
    print(json.dumps(here("--quick" in sys.argv, int(sys.argv[1]))))
