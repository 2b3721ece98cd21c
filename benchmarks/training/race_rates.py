"""The learning rates that `adamx race` starts from: the best of a grid, for each.

    python -m benchmarks race_rates                        # all, on both data sets
    python -m benchmarks race_rates --optimizers adam,sgd --data sparse
    python -m benchmarks race_rates --write                # and write what it found

Trains every optimizer at 3e-5, 1e-4, …, 10 with the mlp, over 500 steps of 64 as the
race does, with 2 seeds, all rates and seeds in one program. A rate counts by the
training loss averaged over the seeds and the last fifth of the run, so that one at
which the loss leaps does not win; a rate at which a seed ends at a loss that is not
finite is out. `--write` adds the losses to `results/race_rates.json` and writes the
best rates to `adamx/race/rates.csv`.
"""

import argparse
import csv
import importlib.resources
import json
import math
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adamx.race import data, models, optimizers, training

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "race_rates.json"
GRID = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
BOTH = ("sparse", "digits")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks race_rates",
        description="Find the learning rates that the race starts from.",
    )
    parser.add_argument("--optimizers", default=",".join(optimizers.OPTIMIZERS))
    parser.add_argument("--data", choices=BOTH, action="append", help="default: both")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write what is found")
    args = parser.parse_args(argv)
    settings = training.Settings(args.steps, args.seeds, seed=0, batch=64)
    for name in args.data or BOTH:
        rows = data.load(name)
        course = training.Course(models.mlp(rows.shape, rows.classes), rows, settings)
        print(f"{name}, {args.steps} steps, {args.seeds} seeds: the mean training loss")
        print("".join(f"{rate:>9g}" for rate in GRID).rjust(20 + 9 * len(GRID)))
        for optimizer in optimizers.chosen(args.optimizers):
            entry = optimizers.OPTIMIZERS[optimizer]
            since = time.perf_counter()
            found = final_losses(entry, course)
            best, held = best_of(found), entry.learning_rate(name)
            said = "the default" if best == held else f"the default is {held:g}"
            cells = "".join(f"{loss:>9.2g}" for loss in found)
            seconds = time.perf_counter() - since
            print(
                f"{optimizer:<20}{cells}  {best:g}; {said}; {seconds:.0f} s", flush=True
            )
            if args.write:
                _write(name, optimizer, found, settings)
    return 0


def best_of(losses: Sequence[float | None]) -> float:
    """The rate of the lowest loss."""
    known = [math.inf if loss is None else loss for loss in losses]
    return GRID[int(np.argmin(known))]


def final_losses(entry: optimizers.Entry, course: training.Course) -> list[float]:
    """The training loss at each rate of the grid: mean of the seeds and last fifth."""
    settings = course.settings
    length = -(-settings.steps // training.POINTS)

    def of_rate(rate: jax.Array, carry: Any, *of_data: Any) -> Any:
        tx = entry.factory(rate)
        of_seed = training.chunk(tx, course, length, entry.estimate)
        params, state = carry
        mapped = jax.vmap(of_seed, in_axes=(0, 0, 0, None, None, None, None))
        params, state, _, judged = mapped(params, state, *of_data)
        loss = jax.vmap(lambda p: course.loss(p, *course.train))(judged)
        return (params, state), loss

    def started(rate: jax.Array) -> Any:
        return course.start, jax.vmap(entry.factory(rate).init)(course.start)

    rates = jnp.asarray(GRID, jnp.float32)
    carry = jax.jit(jax.vmap(started))(rates)
    mapped = jax.vmap(of_rate, in_axes=(0, 0, None, None, None, None, None))
    program = jax.jit(mapped, donate_argnums=1)
    curve = []
    for done in range(0, settings.steps, length):
        place = divmod(done * settings.batch, course.rows)
        carry, loss = program(rates, carry, course.shuffles, course.train, *place, done)
        curve.append(np.asarray(loss, float))
    last = np.stack(curve, -1)[:, :, -len(curve) // 5 :].mean((1, 2))
    return [float(loss) if np.isfinite(loss) else math.inf for loss in last]


def _write(
    data_name: str, optimizer: str, losses: list[float], settings: training.Settings
) -> None:
    """Add what was found to the record, and its best rate to the race's table."""
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    held.setdefault("command", "python -m benchmarks race_rates --write")
    held["rates"] = list(GRID)
    held.setdefault("losses", {}).setdefault(data_name, {})[optimizer] = {
        "steps": settings.steps,
        "seeds": settings.seeds,
        "jax": jax.__version__,
        "training_loss": [None if math.isinf(x) else float(f"{x:.3g}") for x in losses],
    }
    RESULTS.write_text(json.dumps(held, indent=1) + "\n")
    table = pathlib.Path(str(importlib.resources.files("adamx.race"))) / "rates.csv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["optimizer"] == optimizer:
            row[data_name] = f"{best_of(losses):g}"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["optimizer", *BOTH], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
