"""`python -m benchmarks share`: the optimizer's share of a whole training step.

The gradient alone and the gradient with each optimizer's update take turns; the share
is what the whole step needs beyond the gradient. Both are one compiled program that is
waited for, its parameters and state donated. The paper's perceptron and the character
transformer of a million parameters, on data that ships here: the time does not depend
on it. torch, if it is installed, takes its turns in a process of its own, its loss and
gradient checked to be ours.
"""

import argparse
import contextlib
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.cost.harness import options, report
from benchmarks.cost.harness.clocks import Clocks, timed
from benchmarks.cost.harness.measure import Sample, turns
from benchmarks.training import data, transformer
from benchmarks.training.data import shipped
from benchmarks.training.paper import characters, perceptron
from benchmarks.training.paper.entries import ENTRIES
from benchmarks.training.paper.problem import Problem
from benchmarks.training.step_share import torch_side

ALONE = "gradient alone"
SIZE = transformer.Size(layers=5, width=128, heads=4, context=64)
SMALL = transformer.Size(layers=1, width=16, heads=2, context=16)
NAMES = ("SGD", "SGD, Nesterov", "Adam", "AdamW", "Lion", "Muon", "AdamW, 8 bits")
QUICK = ("AdamW",)
HEAD = "model and batch | parameters | optimizer | step, ms (quartiles) | its share"


def problems(quick: bool) -> list[tuple[Problem, int]]:
    """The perceptron and the transformer, each with two batches (quick: with one); and
    the heads of the transformer."""
    text, alphabet = data.indexed("".join(shipped.plays()))
    size = (SMALL if quick else SIZE)._replace(alphabet=len(alphabet))
    hidden = 16 if quick else 1000
    name = f"perceptron of {hidden}-{hidden}"
    pictures = shipped.fashion()
    many, few = ((32,), (4,)) if quick else ((32, 128), (4, 16))
    return [
        *((perceptron.problem(pictures, name, hidden, 0, batch), 0) for batch in many),
        *((characters.problem(text, size, batch), size.heads) for batch in few),
    ]


def start(problem: Problem) -> tuple[Any, Any]:
    """The parameters and the batch that everything is timed with."""
    rows = jnp.arange(problem.batch) * (problem.examples // problem.batch)
    return problem.started(jax.random.key(0)), problem.pick(problem.data, rows)


def seconds(
    problem: Problem,
    optimizers: Mapping[str, Any],
    repeats: int,
    steps: int,
    peers: Mapping[str, Sample] = MappingProxyType({}),
    jobs: int = 1,
) -> dict[str, np.ndarray]:
    """Seconds of a step by block, for each optimizer, the gradient alone and peers.

    `jobs` programs are compiled at once.
    """
    (params, batch), key = start(problem), jax.random.key(1)
    gradient = jax.jit(jax.grad(problem.loss))

    def whole(tx: Any) -> Callable[[], None]:
        kept = [jax.tree.map(jnp.copy, params), tx.init(params)]

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(params: Any, state: Any) -> tuple[Any, Any]:
            grads = jax.grad(problem.loss)(params, batch, key)
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        def walk() -> None:
            for _ in range(steps):
                kept[:] = jax.block_until_ready(step(*kept))

        return walk

    def alone() -> None:
        for _ in range(steps):
            jax.block_until_ready(gradient(params, batch, key))

    walks = {name: whole(tx) for name, tx in optimizers.items()} | {ALONE: alone}
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda walk: walk(), walks.values()))

    def sampled(walk: Callable[[], None]) -> Callable[[], dict[str, float]]:
        return lambda: {"wall": timed(Clocks(), walk)[0].wall / steps}

    for sample in peers.values():
        sample()
    samples = {name: sampled(walk) for name, walk in walks.items()} | dict(peers)
    blocks = turns(samples, repeats)
    return {name: np.array([b[name]["wall"] for b in blocks]) for name in samples}


def alone(name: str) -> str:
    """The gradient that an optimizer's step is beyond: of its own library."""
    return torch_side.ALONE if name in torch_side.NAMES else ALONE


def quartiles(values: np.ndarray) -> list[float]:
    return [float(f"{x:.4g}") for x in np.quantile(values, (0.25, 0.5, 0.75))]


def measured(
    problem: Problem, heads: int, names: Sequence[str], repeats: int, steps: int
) -> list[dict[str, Any]]:
    """A row for each optimizer: seconds and share, lower quartile, median, upper."""
    ours = {name: ENTRIES[name].make(ENTRIES[name].usual) for name in names}
    made = ours | {"optax.adamw": optax.adamw(1e-3, weight_decay=1e-2)}
    params, batch = start(problem)
    there = torch_side.missing() is None
    torch = torch_side.samples(problem, params, batch, heads, steps)
    with torch if there else contextlib.nullcontext({}) as peers:
        wall = seconds(problem, made, repeats, steps, peers)
    row = {
        "model": f"{problem.name}, {problem.batch}",
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    return [
        {
            **row,
            "optimizer": name,
            "seconds": quartiles(of),
            "share": quartiles(1 - wall[alone(name)] / of),
        }
        for name, of in wall.items()
    ]


def lines(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    found = []
    for row in rows:
        low, median, high = (1e3 * x for x in row["seconds"])
        a, b, c = row["share"]
        share = (
            "–"
            if row["optimizer"] == alone(row["optimizer"])
            else f"{b:.0%} ({a:.0%} to {c:.0%})"
        )
        time = f"{median:.2f} ({low:.2f}–{high:.2f})"
        count = f"{row['parameters']:,}"
        found.append((row["model"], count, row["optimizer"], time, share))
    return found


def table() -> list[tuple[str, ...]]:
    """The rows of docs/speed.md."""
    return lines(json.loads((options.RESULTS / "share.json").read_text())["rows"])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks share", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=options.positive, default=10)
    parser.add_argument("--steps", type=options.positive, default=5, help="of a sample")
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(argv)
    names = QUICK if given.quick else NAMES
    rows = []
    for problem, heads in problems(given.quick):
        options.progress(f"{problem.name}, batches of {problem.batch}")
        rows += measured(problem, heads, names, given.repeats, given.steps)
    print(report.aligned([HEAD.split(" | "), *lines(rows)]))
    if torch_side.missing():
        print(f"Not measured: {torch_side.missing()}.")
    path = given.json or (None if given.quick else options.RESULTS / "share.json")
    if path:
        where = report.environment(jax.devices("cpu")[0]) | {
            "torch": report.version("torch")
        }
        kept = {"environment": where, "rows": rows}
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        print(f"Written to {path}.")
    return 0
