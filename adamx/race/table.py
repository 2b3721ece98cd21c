"""The final table of the race, and how its figures are written."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from .training import Run

COLUMNS = (
    "rate",
    "train loss",
    "test loss",
    "test accuracy",
    "steps/s",
    "state bytes\nper param",
)


def final_table(runs: Sequence[Run]) -> Table:
    """One row for each optimizer; the best of each measured column is bold."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("optimizer", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    if any(not run.finished.all() for run in runs):
        table.add_column("", no_wrap=False)
    best = _best(runs)
    for run in runs:
        cells: list[Any] = [run.name, f"{run.learning_rate:g}"]
        for key in ("train_loss", "test_loss", "test_accuracy"):
            text = figure(getattr(run, key)[run.finished, -1], key)
            cells.append(Text(text, style="bold" if best.get(key) is run else ""))
        cells += [
            f"{run.steps_per_second:,.0f}",
            f"{run.state_bytes_per_parameter:.2f}",
        ]
        cells += [Text(diverged(run), style="red")] * (len(table.columns) > len(cells))
        table.add_row(*cells)
    return table


def figure(values: np.ndarray, key: str) -> str:
    """Mean ± standard deviation over the seeds."""
    if not len(values):
        return "–"
    mean, spread = values.mean(dtype=float), deviation(values)
    if key.endswith("accuracy"):
        text, more = f"{mean:.1%}", f" ± {spread:.1%}"
    elif mean < 0.001:
        text, more = f"{mean:.1e}", f" ± {spread:.0e}"
    else:
        text, more = f"{mean:.4f}", f" ± {spread:.4f}"
    return text + (more if len(values) > 1 else "")


def deviation(values: np.ndarray) -> float:
    """The standard deviation of a sample; of a single value, 0."""
    return float(values.std(ddof=1, dtype=float)) if len(values) > 1 else 0.0


def diverged(run: Run) -> str:
    """What to say of seeds that diverged: nothing, where none did."""
    seeds = len(run.finished)
    lost = seeds - int(run.finished.sum())
    if not lost:
        return ""
    first = int(run.diverged_at[~run.finished].min())
    who = "" if seeds == 1 else f", {lost} of {seeds} seeds"
    return f"diverged (step {first}{who})"


def _best(runs: Sequence[Run]) -> dict[str, Run]:
    alive = [run for run in runs if run.finished.any()]
    if len(alive) < 2:
        return {}

    def mean(run: Run, key: str) -> float:
        return float(getattr(run, key)[run.finished, -1].mean())

    return {
        "train_loss": min(alive, key=lambda run: mean(run, "train_loss")),
        "test_loss": min(alive, key=lambda run: mean(run, "test_loss")),
        "test_accuracy": max(alive, key=lambda run: mean(run, "test_accuracy")),
    }
