"""Small deterministic tasks that break optimizers, as a pass/fail map.

    python -m benchmarks failure_modes                    # all optimizers, all tasks
    python -m benchmarks failure_modes --optimizers adam,lion --tasks "rotated bowl"
    python -m benchmarks failure_modes --resume           # only what is not there yet
    python -m benchmarks failure_modes --list             # the tasks and their marks

Each optimizer has its defaults, no weight decay, and its learning rate searched on one
grid; it passes a task if it does at any rate. One program for each optimizer and task:
a scan over the steps, mapped over rates and seeds. What a task asks for, and why that
much, is in its own words (`--list`); task.py says how it is judged.
"""

import argparse
import functools
import json
import math
import pathlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from . import curvature, learning, moving, noise, scales
from .picture import draw, table, tally
from .search import RATES, Cell, search_all
from .task import Candidate, Task

RESULTS = pathlib.Path(__file__).parents[2] / "results"
TASKS: Mapping[str, Task] = {
    task.name: task
    for module in (curvature, scales, noise, moving, learning)
    for task in module.TASKS
}
QUICK = ("round bowl", "rotated bowl", "plateau", "scale invariance")


def some_of(names: Sequence[str], all_of: str):
    """A comma-separated selection, or an error that names the first unknown."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"{all_of} must be some of {', '.join(names)}; got {unknown[0]!r}"
            )
        return list(dict.fromkeys(chosen))

    return parse


def grid(text: str) -> list[float]:
    """Learning rates separated by commas."""
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"rates must be numbers separated by commas; got {text!r}"
        ) from error
    if not all(math.isfinite(rate) and rate > 0 for rate in rates):
        raise argparse.ArgumentTypeError(f"rates must be positive; got {text!r}")
    return rates


def parser(optimizers: Sequence[str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "python -m benchmarks failure_modes",
        description="Small tasks that break optimizers, as a pass/fail map.",
    )
    made.add_argument(
        "--optimizers",
        type=some_of(optimizers, "optimizers"),
        default=list(optimizers),
        help=f"which, separated by commas: {', '.join(optimizers)} (default: all)",
    )
    made.add_argument(
        "--tasks",
        type=some_of(list(TASKS), "tasks"),
        help="which, separated by commas; see --list (default: all)",
    )
    made.add_argument(
        "--rates",
        type=grid,
        default=list(RATES),
        help="separated by commas (default: 1e-5 to 10, two a decade)",
    )
    made.add_argument("--list", action="store_true", help="describe the tasks and stop")
    made.add_argument(
        "--resume",
        action="store_true",
        help="do not search again what the JSON of an earlier run has",
    )
    made.add_argument(
        "--quick",
        action="store_true",
        help=f"four tasks ({', '.join(QUICK)}); writes nothing unless asked",
    )
    made.add_argument(
        "--json",
        type=pathlib.Path,
        metavar="PATH",
        help="where the results go (default: benchmarks/results/failure_modes.json)",
    )
    made.add_argument(
        "--plot",
        type=pathlib.Path,
        metavar="PATH",
        help="where the map goes (default: benchmarks/results/failure_modes.png)",
    )
    return made


def describe(task: Task) -> str:
    """A task in its own words."""
    body = {
        "shows": task.shows,
        "passed by": f"{task.criterion}; score <= {task.target:.3g}",
        "why": task.reason,
        "steps": f"{task.steps}, rate {'falling to 0' if task.decay else 'constant'}"
        + (f", {task.seeds} seeds" if task.seeds > 1 else ""),
    }
    lines = [task.name]
    for key, text in body.items():
        lines += textwrap.wrap(
            text, 88, initial_indent=f"  {key:<11}", subsequent_indent=" " * 13
        )
    return "\n".join(lines)


def record(cells: Sequence[Cell]) -> dict:
    """What the JSON holds: the tasks in words, and every score."""
    told = [TASKS[name] for name in dict.fromkeys(cell.task for cell in cells)]
    return {
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "rates": max((cell.rates for cell in cells), key=len),
        "tasks": {
            task.name: {
                "shows": task.shows,
                "criterion": task.criterion,
                "reason": task.reason,
                "target": task.target,
                "steps": task.steps,
                "seeds": task.seeds,
            }
            for task in told
        },
        "cells": [
            {
                "optimizer": cell.optimizer,
                "task": cell.task,
                "passed": cell.passed,
                "passing_rates": cell.passing,
                "scores": [
                    float(f"{s:.4g}") if math.isfinite(s) else None for s in cell.scores
                ],
                "seconds": round(cell.seconds, 2),
                "refusal": cell.error,
            }
            for cell in cells
        ],
    }


def lines(told: dict) -> str:
    """JSON with a line for each cell and each task, so that a diff can be read."""
    dumps = functools.partial(json.dumps, ensure_ascii=False)
    tasks = (f"{dumps(key)}: {dumps(value)}" for key, value in told["tasks"].items())
    cells = (dumps(cell) for cell in told["cells"])
    rest = ",\n".join(
        f"{dumps(key)}: {dumps(value)}"
        for key, value in told.items()
        if key not in ("tasks", "cells")
    )
    parts = ("{\n" + rest, '"tasks": {\n' + ",\n".join(tasks) + "\n}")
    return ",\n".join((*parts, '"cells": [\n' + ",\n".join(cells) + "\n]\n}\n"))


def stored(path: pathlib.Path | None, rates: Sequence[float]) -> list[Cell]:
    """The cells of an earlier run on the same grid, if there is one."""
    if path is None or not path.exists():
        return []
    told = json.loads(path.read_text())
    if told["rates"] != list(rates):
        return []
    return [
        Cell(
            optimizer=cell["optimizer"],
            task=cell["task"],
            target=told["tasks"][cell["task"]]["target"],
            rates=tuple(rates),
            scores=tuple(math.inf if s is None else s for s in cell["scores"]),
            seconds=cell["seconds"],
        )
        for cell in told["cells"]
        if not cell["refusal"]
    ]


def tallies() -> list[list[tuple[str, str]]]:
    """What the kept map comes to, by optimizers and by tasks."""
    cells = json.loads((RESULTS / "failure_modes.json").read_text())["cells"]
    return [tally(cells, by) for by in ("optimizer", "task")]


def save(
    cells: Sequence[Cell], data: pathlib.Path | None, plot: pathlib.Path | None
) -> None:
    """Writes what there is so far, so that a run that is stopped is not lost."""
    for path in (data, plot):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
    if data:
        data.write_text(lines(record(cells)))
    if plot:
        draw(cells, plot)


def main(argv: Sequence[str], table_of: Mapping[str, Any] | None = None) -> int:
    """Run the map. `table_of` takes the place of adamx's optimizers: by name, a
    `Candidate` or a function of the learning rate.
    """
    if table_of is None:
        from .candidates import candidates as known

        table_of = known()
    optimizers = {
        name: one if isinstance(one, Candidate) else Candidate(name, one)
        for name, one in table_of.items()
    }
    options = parser(list(optimizers)).parse_args(argv)
    names = options.tasks or (QUICK if options.quick else list(TASKS))
    if options.list:
        print("\n\n".join(describe(TASKS[name]) for name in names))
        return 0
    write = not options.quick
    data = options.json or (RESULTS / "failure_modes.json" if write else None)
    plot = options.plot or (RESULTS / "failure_modes.png" if write else None)

    def after(cell: Cell) -> None:
        word = cell.error or f"{len(cell.passing)} of {len(cell.rates)} rates pass"
        print(
            f"{cell.optimizer}, {cell.task}: {word} ({cell.seconds:.1f} s)",
            file=sys.stderr,
            flush=True,
        )

    known = stored(data, options.rates) if options.resume else []
    cells: list[Cell] = []
    for more in search_all(
        [optimizers[name] for name in options.optimizers],
        [TASKS[name] for name in names],
        options.rates,
        known,
        after,
    ):
        cells += more
        found = {(cell.optimizer, cell.task) for cell in cells}
        later = [cell for cell in known if (cell.optimizer, cell.task) not in found]
        save([*cells, *later], data, plot)
    print(table(cells))
    return 0
