"""`python -m benchmarks sweep`: a sweep beside the loop over its runs.

The race's perceptron on its digits, adamw at 64 rates with 3 seeds. Seconds on the wall
from nothing compiled to all losses on the host, for sides that take turns:

- `adamx.sweep` with its default width, and with others;
- a loop that jits one run with the rate as an argument, and so compiles once;
- a loop that jits again for each rate, since it is a number in the optimizer. This one
  is measured for a few rates, and counted for all.
"""

import argparse
import functools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from adamx.race import data, models
from benchmarks.cost.harness import options, report

BAR = 5.0


def training(steps: int, batch: int) -> Callable[[Any, Any], dict[str, Any]]:
    digits = data.load("digits")
    model = models.mlp(digits.shape, digits.classes)
    x, y = jnp.asarray(digits.x_train), jnp.asarray(digits.y_train)

    def loss(params: Any, rows: Any) -> Any:
        return models.loss_and_accuracy(model, params, x[rows], y[rows])[0]

    def train(tx: Any, key: Any) -> dict[str, Any]:
        start, order = jax.random.split(key)
        params = model.init(start)
        rows = jax.random.randint(order, (steps, batch), 0, len(x))

        def step(carry: Any, rows: Any) -> Any:
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params, rows)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), value

        return {"loss": jax.lax.scan(step, (params, tx.init(params)), rows)[1]}

    return train


def swept(train: Any, rates: Any, seeds: int, width: int | None = None) -> Any:
    found = adamx.sweep(
        train,
        adamx.adamw,
        {"learning_rate": rates},
        seeds=seeds,
        width=width,
        progress=False,
    )
    return found["loss"]


def jitted_once(train: Any, rates: Any, seeds: int) -> Any:
    run = jax.jit(lambda rate, key: train(adamx.adamw(rate), key))
    runs = [(rate, seed) for rate in rates for seed in range(seeds)]
    losses = [run(jnp.float32(r), jax.random.key(s))["loss"] for r, s in runs]
    return np.stack(losses)


def jitted_for_each_rate(train: Any, rates: Any, seeds: int) -> Any:
    losses = []
    for rate in rates:
        tx = adamx.adamw(float(rate))
        run = jax.jit(lambda key, tx=tx: train(tx, key))
        losses += [run(jax.random.key(s))["loss"] for s in range(seeds)]
    return np.stack(losses)


def seconds(side: Callable, *given: Any) -> tuple[float, Any]:
    jax.clear_caches()
    since = time.perf_counter()
    losses = np.asarray(side(*given))
    return time.perf_counter() - since, losses


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks sweep")
    parser.add_argument("--rates", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--few", type=int, default=4, help="rates that are jitted each")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    train = training(given.steps, given.batch)
    rates = np.geomspace(1e-4, 1.0, given.rates)
    few = rates[:: max(1, given.rates // given.few)]
    all_runs = given.rates * given.seeds
    widths = [w for w in (4, 16, 64) if w < all_runs] + [all_runs]
    sides = {
        "sweep": (swept, rates, 1.0),
        **{
            f"sweep, width {w}": (functools.partial(swept, width=w), rates, 1.0)
            for w in widths
        },
        "loop, jitted once": (jitted_once, rates, 1.0),
        "loop, jitted for each rate": (
            jitted_for_each_rate,
            few,
            len(rates) / len(few),
        ),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    ends = {}
    load = [os.getloadavg()[0]]
    for repeat in range(given.repeats):
        for name in list(sides)[:: 1 if repeat % 2 == 0 else -1]:
            side, at, times = sides[name]
            spent, ends[name] = seconds(side, train, at, given.seeds)
            taken[name].append(times * spent)
    load.append(os.getloadavg()[0])
    apart = np.abs(ends["sweep"][:, 0] - ends["loop, jitted once"][:, 0]).max()
    rows = []
    for name in sides:
        ratios = [a / b for a, b in zip(taken[name], taken["sweep"], strict=True)]
        ratio = statistics.median(ratios)
        rows.append(
            {
                "side": name,
                "seconds": statistics.median(taken[name]),
                "of_sweep": ratio,
                "met": None if name.startswith("sweep") else ratio >= BAR,
            }
        )
    table = [
        [r["side"], f"{r['seconds']:.1f}", f"{r['of_sweep']:.2f}", str(r["met"])]
        for r in rows
    ]
    head = ["side", "seconds", "of sweep", f"≥ {BAR:g} ×"]
    print(report.aligned([head, *table]))
    print(f"first losses differ by at most {apart:.1e}")
    path = options.record(given.json, argv, "sweep")
    if path:
        kept = {
            "environment": report.environment(jax.devices()[0]),
            "settings": {k: v for k, v in vars(given).items() if k != "json"},
            "load_average_at_start_and_end": load,
            "first_losses_differ_by": float(apart),
            "rows": rows,
        }
        path.write_text(json.dumps(kept, indent=1) + "\n")
    return 0
