"""`python -m benchmarks observe`: what `adamx.observe` adds to a step.

For a leaf of 32 million elements: the seconds of a step without metrics, and of the
mean step of a cycle in which one is sampled, each donated, the sides taking turns on
the same arrays. The ratios are those within a turn, of the time on the wall and of CPU
seconds; the latter are the ones to read where others use the machine.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import adamx
from adamx.observation import Observed
from benchmarks.cost.accumulation import one_call, two_calls
from benchmarks.cost.harness import measure, options, report
from benchmarks.cost.harness.measure import CLOCKS, Sample

EVERY = 10
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adamw": lambda: adamx.adamw(1e-3),
    "clip, adamw": lambda: adamx.chain(
        adamx.parts.ClipByGlobalNorm(1.0), adamx.adamw(1e-3)
    ),
}
SIDES: dict[str, tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    "without": (lambda tx: tx, two_calls),
    "observe": (lambda tx: adamx.observe(tx, every=EVERY), two_calls),
    "observe, adamx.step": (lambda tx: adamx.observe(tx, every=EVERY), one_call),
    "nonfinite_every=1": (
        lambda tx: adamx.observe(tx, every=EVERY, nonfinite_every=1),
        two_calls,
    ),
}


def leaf(rows: int, columns: int, seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed).standard_normal((rows, columns), "float32")
    return {"kernel": jnp.asarray(draw)}


def side(
    make: Callable[[], Any], name: str, kept: list[Any], grads: dict[str, Any]
) -> Sample:
    """The samples of one side: the mean step of a cycle, with one that is sampled.

    `kept` are the parameters and the state, which the sides have in common: where the
    arrays happen to lie is then the same for all.
    """
    wrap, call = SIDES[name]
    tx = wrap(make())
    small = tx.init(leaf(1, 1, 0))  # of which only the metrics are used
    observed = isinstance(small, Observed)
    around = [small._replace(inner=None) if observed else None]
    step = jax.jit(functools.partial(call, tx), donate_argnums=(0, 1))

    def arguments() -> tuple[Any, ...]:
        state = around[0]._replace(inner=kept[1]) if observed else kept[1]
        return kept[0], state, grads

    program = step.lower(*arguments()).compile()

    def cycle() -> list[Any]:
        for _ in range(EVERY):
            kept[0], state = program(*arguments())
            kept[1] = state.inner if observed else state
            around[0] = state._replace(inner=None) if observed else None
        return kept

    def sample() -> dict[str, float]:
        seconds, _ = measure.timed(CLOCKS, cycle)
        return {"wall": seconds.wall / EVERY, "cpu": seconds.cpu / EVERY}

    sample()
    return sample


def run(name: str, shape: tuple[int, int], repeats: int) -> list[dict[str, Any]]:
    """A row for each side of one optimizer."""
    params, grads = leaf(*shape, 0), leaf(*shape, 1)
    kept = [params, OPTIMIZERS[name]().init(params)]
    samples = {key: side(OPTIMIZERS[name], key, kept, grads) for key in SIDES}
    blocks = measure.turns(samples, repeats)

    def over(key: str, clock: str) -> float:
        ratios = (block[key][clock] / block["without"][clock] for block in blocks)
        return statistics.median(ratios)

    return [
        {
            "optimizer": name,
            "side": key,
            "step_ms": 1e3 * statistics.median(block[key]["wall"] for block in blocks),
            "of_without": over(key, "wall"),
            "of_without_cpu": over(key, "cpu"),
        }
        for key in SIDES
    ]


HEAD = ["optimizer", "side", "step, ms", "of without", "of without, CPU"]


def line(row: dict[str, Any]) -> list[str]:
    return [
        row["optimizer"],
        row["side"],
        f"{row['step_ms']:.2f}",
        f"{row['of_without']:.3f}",
        f"{row['of_without_cpu']:.3f}",
    ]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks observe", description="Steps with metrics and without."
    )
    parser.add_argument("--rows", type=int, default=4096, help="of the leaf")
    parser.add_argument("--columns", type=int, default=8192, help="of the leaf")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    shape = (given.rows, given.columns)
    rows = [row for name in OPTIMIZERS for row in run(name, shape, given.repeats)]
    print(report.aligned([HEAD, *map(line, rows)]))
    kept = {
        "environment": report.environment(jax.devices()[0]),
        "leaf": list(shape),
        "every": EVERY,
        "rows": rows,
    }
    path = options.record(given.json, argv, "observing")
    if path:
        path.write_text(json.dumps(kept, indent=1) + "\n")
    return 0
