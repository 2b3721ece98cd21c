"""`python -m benchmarks family`: trace, compile and step time of every optimizer.

On eight matrices of 512 × 512 and eight vectors of 512 (2.1M parameters), each
optimizer in turn with `optax.adam`: the compiled step (`update` and the new parameters,
all of it donated, waited for) as a ratio, and the seconds of the processor that tracing
and compiling take once, from empty caches. Optimizers with a counterpart in Optax are
held to it by `python -m benchmarks step`; here they stand beside the others.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from benchmarks import roster
from benchmarks.cost.harness import merge_runs, options, report
from benchmarks.cost.harness.clocks import Clocks, timed
from benchmarks.cost.harness.measure import turns

LEAVES, SIDE = 8, 512
HEAD = "optimizer | trace, s | compile, s | step, ms | step / optax.adam (quartiles)"
PATH = options.RESULTS / "family.json"


def tree(seed: int, leaves: int, side: int) -> dict[str, jax.Array]:
    """Normal random numbers in buffers of their own."""
    random = np.random.default_rng(seed)
    shapes = {f"kernel_{i}": (side, side) for i in range(leaves)}
    shapes |= {f"bias_{i}": (side,) for i in range(leaves)}
    drawn = {k: random.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    return jax.tree.map(jax.numpy.array, drawn)


def prepared(tx: Any, params: Any, grads: Any) -> tuple[dict[str, float], Callable]:
    """Seconds of tracing and of compiling, and one step that is waited for."""
    extra = dict.fromkeys(roster.extra_arguments(tx), grads)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, grads: Any, extra: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    kept = [jax.tree.map(jax.numpy.copy, params), jax.jit(tx.init)(params)]
    jax.clear_caches()
    start = time.process_time()
    lowered = step.trace(*kept, grads, extra).lower()
    traced = time.process_time()
    compiled = lowered.compile()
    seconds = {"trace": traced - start, "compile": time.process_time() - traced}

    def walk(steps: int) -> None:
        for _ in range(steps):
            kept[:] = jax.block_until_ready(compiled(*kept, grads, extra))

    return seconds, walk


def sampled(walk: Callable[[int], None]) -> Callable[[], dict[str, float]]:
    """Samples of at least 20 ms."""
    walk(1)
    once = timed(Clocks(), walk, 1)[0].wall
    steps = min(max(1, round(0.02 / once)), 100)
    return lambda: {"wall": timed(Clocks(), walk, steps)[0].wall / steps}


def measured(name: str, params: Any, grads: Any, repeats: int) -> dict[str, Any]:
    seconds, ours = prepared(roster.built(name), params, grads)
    _, theirs = prepared(optax.adam(roster.RATE), params, grads)
    blocks = turns({"ours": sampled(ours), "adam": sampled(theirs)}, repeats)
    wall = np.array([[b[side]["wall"] for side in ("ours", "adam")] for b in blocks])
    ratio = np.quantile(wall[:, 0] / wall[:, 1], (0.25, 0.5, 0.75))
    return {
        "optimizer": name,
        **{k: float(f"{v:.3g}") for k, v in seconds.items()},
        "ms": float(f"{1e3 * np.median(wall[:, 0]):.4g}"),
        "ratio": [float(f"{r:.3g}") for r in ratio],
    }


def lines(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    found = []
    for row in rows:
        low, median, high = row["ratio"]
        ratio = f"{median:.2f} ({low:.2f}–{high:.2f})"
        cells = (f"{row[k]:.3g}" for k in ("trace", "compile", "ms"))
        found.append((f"`{row['optimizer']}`", *cells, ratio))
    return found


def table() -> list[tuple[str, ...]]:
    """The rows of the document."""
    return lines(json.loads(PATH.read_text())["rows"])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks family", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--optimizers",
        type=options.some_of({name: name for name in roster.ALL}),
        default=roster.ALL,
        help="which, separated by commas (default: all)",
    )
    parser.add_argument("--repeats", type=options.positive, default=10)
    parser.add_argument(
        "--quick", action="store_true", help="tiny leaves; writes nothing unless asked"
    )
    parser.add_argument("--add", action="store_true", help=merge_runs.HELP)
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(argv)
    leaves, side = (1, 8) if given.quick else (LEAVES, SIDE)
    params, grads = (tree(seed, leaves, side) for seed in (0, 1))
    path = given.json or (None if given.quick else PATH)
    before = merge_runs.earlier(path) if given.add else {}
    kept = {"environment": report.environment(jax.devices("cpu")[0]), "rows": []}
    merge_runs.together(before, kept)
    for name in given.optimizers:
        options.progress(name)
        kept["rows"].append(measured(name, params, grads, given.repeats))
        if path:
            both = merge_runs.together(before, kept)
            both["rows"].sort(key=lambda row: roster.ALL.index(row["optimizer"]))
            path.write_text(json.dumps(both, indent=1) + "\n")
    print(report.aligned([HEAD.split(" | "), *lines(kept["rows"])]))
    return 0
