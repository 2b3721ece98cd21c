"""The final table of the race, and the format of its numbers."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from .training import Run

MEASURED = ("train_loss", "test_loss", "test_accuracy")
COLUMNS = (
    "rate",
    "train loss",
    "test loss",
    "test\naccuracy %",
    "steps/s",
    "state\nbytes/\nparam",
)


def final_table(runs: Sequence[Run]) -> Table:
    """One row for each optimizer; the best of each measured column is bold."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("optimizer", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    best = _best(runs)
    for run in runs:
        cells = []
        for key, lost in zip(MEASURED, _lost(run), strict=True):
            text = figure(getattr(run, key)[run.finished, -1], key)
            cell = Text(text, style="bold" if best.get(key) is run else "")
            cells.append(cell.append(lost, style="red"))
        speed = f"{run.steps_per_second:,.0f}"
        memory = f"{run.state_bytes_per_parameter:.2f}"
        table.add_row(run.name, f"{run.learning_rate:g}", *cells, speed, memory)
    return table


def figure(values: np.ndarray, key: str) -> str:
    """Mean ± standard deviation over the seeds."""
    if not len(values):
        return ""
    mean, spread = values.mean(dtype=float), deviation(values)
    if key.endswith("accuracy"):
        text, more = f"{mean:.1%}"[:-1], f" ± {spread:.1%}"[:-1]
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
    who, when, _ = _lost(run)
    return f"{who} {when}".replace("\n", "").strip()


def _lost(run: Run) -> tuple[str, str, str]:
    """The same, for the three measured cells of a row."""
    seeds = len(run.finished)
    lost = seeds - int(run.finished.sum())
    if not lost:
        return "", "", ""
    first = int(run.diverged_at[~run.finished].min())
    if lost == seeds:
        return "diverged", f"at step {first}", "–"
    return f"\n{lost} of {seeds} diverged", f"\nfrom step {first} on", ""


def _best(runs: Sequence[Run]) -> dict[str, Run]:
    alive = [run for run in runs if run.finished.any()]
    if len(alive) < 2:
        return {}

    def mean(run: Run, key: str) -> float:
        return float(getattr(run, key)[run.finished, -1].mean())

    return {
        key: (max if key.endswith("accuracy") else min)(
            alive, key=lambda run, key=key: mean(run, key)
        )
        for key in MEASURED
    }
