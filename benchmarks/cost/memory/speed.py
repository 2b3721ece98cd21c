"""Step time and temporary bytes of each form beside `optax.adamw` in float32.

Each setting of XLA and of the allocator is a process of its own, in which the forms
and Optax take turns: the ratios are of neighbours in time. A step is `update` and
`optax.apply_updates`, params and state donated; `in one` is `adamx.step`.
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

import adamx
from benchmarks.cost.harness.measure import Clocks, step_of, timed
from benchmarks.cost.memory.forms import BY_NAME, Form

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


def in_one_call(tx: Any) -> Callable:
    def step(params: Any, state: Any, grads: Any) -> Any:
        return adamx.step(tx, params, grads, state)

    return step


class Side:
    """A compiled step with params and state of its own."""

    def __init__(
        self, tx: Any, dtype: Any, leaves: int, size: int, in_one: bool = False
    ) -> None:
        rng = np.random.default_rng(0)
        self.grads = [
            jnp.asarray(rng.standard_normal(size, np.float32), dtype)
            for _ in range(leaves)
        ]
        self.params = [jnp.full((size,), k + 1.0, dtype) for k in range(leaves)]
        self.state = tx.init(self.params)
        made = in_one_call(tx) if in_one else step_of(tx)
        step = jax.jit(made, donate_argnums=(0, 1))
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
    """The form, its step in one call, and Optax in turns; medians and quartiles."""
    sides = [
        Side(form.tx(), form.params, leaves, size),
        Side(form.tx(), form.params, leaves, size, in_one=True),
        Side(optax.adamw(1e-3, weight_decay=1e-2), jnp.float32, leaves, size),
    ]
    seconds = np.array([[side.once() for side in sides] for _ in range(repeats)])
    ratios = np.quantile(seconds[:, :2] / seconds[:, 2:], (0.25, 0.5, 0.75), axis=0)
    n = leaves * size
    return {
        "form": form.name,
        "ratio": float(ratios[1, 0]),
        "quartiles": [float(ratios[0, 0]), float(ratios[2, 0])],
        "in one": float(ratios[1, 1]),
        "in one, quartiles": [float(ratios[0, 1]), float(ratios[2, 1])],
        "ms": [float(x * 1e3) for x in np.median(seconds, 0)],
        "temporary": [side.temporary / n for side in sides],
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
        command = [sys.executable, "-m", "benchmarks.cost.memory.speed", str(repeats)]
        out = subprocess.run(
            command + (["--quick"] if quick else []),
            env=os.environ | extra,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        results[name] = json.loads(out)
    return results


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The bars in plain XLA, for Optax's two calls and for `adamx.step`."""
    judged = []
    for tree, rows in results["plain"].items():
        for row in rows:
            if row["form"] not in BARS:
                continue
            limit = BARS[row["form"]]
            for call, key, low in (
                ("step", "ratio", row["quartiles"][0]),
                ("adamx.step", "in one", row["in one, quartiles"][0]),
            ):
                met = row[key] <= limit or low <= limit
                what = f"{call}, {row['form']}, {tree}"
                judged.append(
                    {"what": what, "limit": limit, "measured": row[key], "met": met}
                )
    return judged


if __name__ == "__main__":
    print(json.dumps(here("--quick" in sys.argv, int(sys.argv[1]))))
