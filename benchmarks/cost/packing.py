"""`python -m benchmarks packing`: a training step with `adamx.packing` and without.

The step of a model whose loss reads every parameter once: its gradient, AdamW, and the
new parameters, with parameters and state donated. All leaves of the first two trees are
vectors; of GPT-2 small only the vectors are packed. The sides take turns; a sample is
ten steps, each of which is waited for. Beside the milliseconds stand the arrays that
the compiled step is given and returns, and the processor's seconds for tracing and
compiling it. The ratios are those within a turn, to the first side, Optax.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.measure import CLOCKS, Sample
from benchmarks.cost.memory.sizes import gpt2

PATH = options.RESULTS / "packing.json"
STEPS = 10
RATE = 1e-3


def vectors(leaves: int, size: int) -> dict[str, Any]:
    like = jax.ShapeDtypeStruct((size,), jnp.float32)
    return {"layers": [{"bias": like} for _ in range(leaves)]}


TREES: dict[str, Callable[[], Any]] = {
    "1,000 × 1,000": functools.partial(vectors, 1_000, 1_000),
    "148 × 10,000": functools.partial(vectors, 148, 10_000),
    "GPT-2 small": gpt2,
}
QUICK: dict[str, Callable[[], Any]] = {"6 × 8": functools.partial(vectors, 6, 8)}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "optax": lambda: optax.adamw(RATE, weight_decay=1e-2),
    "adamx": lambda: adamx.adamw(RATE),
    "adamx.fused": lambda: adamx.fused(adamx.adamw(RATE)),
}
SIDES = [(name, packs) for packs in (False, True) for name in OPTIMIZERS]


def loss(params: Any) -> Any:
    """A number of which every element is a part, by way of a sine."""
    return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(params))


def filled(shaped: Any) -> Any:
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: jnp.asarray(0.1 * random.standard_normal(x.shape, np.float32)), shaped
    )


def side(name: str, packs: bool, shaped: Any) -> tuple[Sample, dict[str, Any]]:
    """The samples of one side, and what is known of its program."""
    tx, params = OPTIMIZERS[name](), filled(shaped)
    packing = adamx.packing(params)
    if packs:
        params = packing.pack(params)
    of_params = (lambda x: loss(packing.unpack(x))) if packs else loss

    def step(params: Any, state: Any) -> tuple[Any, Any]:
        grads = jax.grad(of_params)(params)
        if name == "adamx.fused":
            return adamx.step(tx, params, grads, state)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    kept = [params, jax.jit(tx.init)(params)]
    arrays = len(jax.tree.leaves(kept))
    jitted = jax.jit(step, donate_argnums=(0, 1))
    seconds, program = measure.timed(CLOCKS, lambda: jitted.lower(*kept).compile())

    def steps() -> list[Any]:
        for _ in range(STEPS):
            kept[:] = jax.block_until_ready(program(*kept))
        return kept

    def sample() -> dict[str, float]:
        seconds, _ = measure.timed(CLOCKS, steps)
        return {"wall": seconds.wall / STEPS, "cpu": seconds.cpu / STEPS}

    del params
    sample()
    return sample, {"arrays": 2 * arrays, "compile": seconds.cpu}


def run(tree: str, shaped: Any, repeats: int) -> list[dict[str, Any]]:
    """A row for each side on one tree."""
    made = {key: side(*key, shaped) for key in SIDES}
    blocks = measure.turns({key: made[key][0] for key in SIDES}, repeats)
    rows = []
    for key in SIDES:
        ratios = [block[key]["wall"] / block[SIDES[0]]["wall"] for block in blocks]
        low, middle, high = statistics.quantiles([*ratios, *ratios], n=4)
        walls = [block[key]["wall"] for block in blocks]
        rows.append(
            {
                "tree": tree,
                "optimizer": key[0],
                "packed": key[1],
                **made[key][1],
                "milliseconds": 1e3 * statistics.median(walls),
                "of optax": [low, middle, high],
            }
        )
    return rows


HEAD = "tree | optimizer | packed | arrays | step, ms | of Optax | compile, s"


def line(row: dict[str, Any]) -> tuple[str, ...]:
    low, middle, high = row["of optax"]
    return (
        row["tree"],
        row["optimizer"],
        "yes" if row["packed"] else "no",
        f"{row['arrays']:,}",
        f"{row['milliseconds']:.2f}",
        f"{middle:.2f} ({low:.2f}–{high:.2f})",
        f"{row['compile']:.1f}",
    )


def table() -> Iterator[tuple[str, ...]]:
    """The record for the documentation."""
    yield from map(line, json.loads(PATH.read_text())["rows"])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks packing", description="Steps with few arrays and many."
    )
    parser.add_argument("--repeats", type=options.positive, default=10)
    parser.add_argument("--quick", action="store_true", help="a tiny tree")
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    for tree, shaped in (QUICK if given.quick else TREES).items():
        options.progress(tree)
        rows += run(tree, shaped(), given.repeats)
    print(report.aligned([HEAD.split(" | "), *map(line, rows)]))
    kept = {"environment": report.environment(jax.devices()[0]), "rows": rows}
    path = options.record(given.json, argv, "packing")
    if path:
        path.write_text(json.dumps(kept, indent=1) + "\n")
    return 0
