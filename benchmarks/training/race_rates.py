"""The learning rates that `adamx race` starts from: the best of a grid, for each.

    python -m benchmarks race_rates                        # all, on both data sets
    python -m benchmarks race_rates --optimizers adam,sgd --data sparse
    python -m benchmarks race_rates --write                # and write what it found

Trains every optimizer at 3e-5, 1e-4, …, 10 with the mlp, over 500 steps of 64 as the
race does, all rates and seeds in one program. A rate counts by the
training loss averaged over the seeds and the last fifth of the run, so that one at
which the loss leaps does not win; a rate at which a seed ends at a loss that is not
finite is out. `--write` adds the losses to `results/race_rates.json` and writes the
best rates to `adamx/race/rates.csv`.

Where other programs use the cores, set OPENBLAS_NUM_THREADS=1: in the
eigendecompositions of Shampoo LAPACK's threads wait for each other, and one thread
alone is many times faster.
"""

import argparse
import csv
import functools
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
# They do some work at every tenth step; side by side it would be done at each.
IN_TURN = (
    "apollo", "apollo_mini", "fira", "galore", "kl_soap", "psgd_kron", "shampoo",
    "soap", "splus",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks race_rates",
        description="Find the learning rates that the race starts from.",
    )
    parser.add_argument("--optimizers", default=",".join(optimizers.OPTIMIZERS))
    parser.add_argument(
        "--data", choices=data.SHIPPED, action="append", help="default: both"
    )
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write what is found")
    args = parser.parse_args(argv)
    settings = training.Settings(args.steps, args.seeds, seed=0, batch=64)
    for name in args.data or data.SHIPPED:
        rows = data.load(name)
        course = training.Course(models.mlp(rows.shape, rows.classes), rows, settings)
        print(f"{name}, {args.steps} steps, {args.seeds} seeds: the mean training loss")
        print("".join(f"{rate:>9g}" for rate in GRID).rjust(20 + 9 * len(GRID)))
        for optimizer in optimizers.chosen(args.optimizers):
            entry = optimizers.OPTIMIZERS[optimizer]
            since = time.perf_counter()
            found = final_losses(optimizer, course)
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


def final_losses(name: str, course: training.Course) -> list[float]:
    """The training loss at each rate of the grid: mean of the seeds and last fifth.

    The runs are side by side in one program, but for those of `IN_TURN`.
    """
    each = jax.lax.map if name in IN_TURN else lambda run, given: jax.vmap(run)(given)
    entry, settings = optimizers.OPTIMIZERS[name], course.settings
    length = -(-settings.steps // training.POINTS)
    rates = jnp.repeat(jnp.asarray(GRID, jnp.float32), settings.seeds)

    def of_all(tree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.concatenate([x] * len(GRID)), tree)

    @jax.jit
    def started(rates: jax.Array, params: Any) -> Any:
        return each(
            lambda given: entry.factory(given[0]).init(given[1]), (rates, params)
        )

    @functools.partial(jax.jit, donate_argnums=0)
    def program(carry: Any, *of_data: Any) -> Any:
        def run(given: Any) -> Any:
            rate, key, (params, state) = given
            chunk = training.chunk(entry.factory(rate), course, length, entry.estimate)
            params, state, _, judged = chunk(params, state, key, *of_data)
            return (params, state), course.loss(judged, *course.train)

        return each(run, (rates, shuffles, carry))

    shuffles, params = of_all(course.shuffles), of_all(course.start)
    carry = params, started(rates, params)
    curve = []
    for done in range(0, settings.steps, length):
        place = divmod(done * settings.batch, course.rows)
        carry, loss = program(carry, course.train, *place, done)
        curve.append(np.asarray(loss, float).reshape(len(GRID), -1))
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
        writer = csv.DictWriter(file, ["optimizer", *data.SHIPPED], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
