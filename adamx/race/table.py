"""The final table of the race, and the format of its numbers."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from .training import Run

MEASURED = ("train_loss", "test_accuracy")
COLUMNS = (
    "rate",
    "train loss",
    "test\naccuracy %",
    "steps\n/ s",
    "state\nbytes/\nparam",
)
MARKS = 3  # the losses of which the table says when they were reached


def final_table(runs: Sequence[Run]) -> Table:
    """One row for each optimizer; the best of each measured column is bold."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("optimizer", overflow="fold", min_width=9)
    marks = milestones(runs)
    for column in (*COLUMNS, *(f"steps\nto\n{_short(mark)}" for mark in marks)):
        table.add_column(column, justify="right", no_wrap=True)
    first = {mark: min(_step(run, mark) for run in runs) for mark in marks}
    best = _best(runs)
    for run in runs:
        cells = []
        for key in MEASURED:
            text = figure(getattr(run, key)[run.finished, -1], key)
            cells.append(Text(text, style="bold" if best.get(key) is run else ""))
        cells[0].append(_lost(run), style="red")
        speed = f"{run.steps_per_second:,.0f}"
        memory_and_steps = [Text(f"{run.state_bytes_per_parameter:.2f}")]
        for mark in marks:
            step = _step(run, mark)
            text = f"{step:,.0f}" if np.isfinite(step) else "–"
            won = step == first[mark] and len(runs) > 1
            memory_and_steps.append(Text(text, style="bold" if won else ""))
        rate = f"{run.learning_rate:g}"
        table.add_row(run.name, rate, *cells, speed, *memory_and_steps)
    return table


def _short(mark: float) -> str:
    return f"{mark:g}" if mark >= 0.001 else f"{mark:.0e}".replace("e-0", "e-")


def milestones(runs: Sequence[Run]) -> list[float]:
    """The losses of which the table says when they were reached.

    They are powers of ten: the lowest that all who did not diverge reached with the
    median of their seeds, and the next below it, at most `MARKS`, that at least one
    reached. None is a loss that was there from the start, or below 1e-6.
    """
    alive = [run for run in runs if run.finished.any()]
    steps = {
        mark: [_step(run, mark) for run in alive]
        for mark in (10.0**power for power in range(2, -7, -1))
    }
    known = [m for m, at in steps.items() if at and min(at) > 0]
    reached = [mark for mark in known if np.isfinite(min(steps[mark]))]
    by_all = sum(bool(np.isfinite(max(steps[mark]))) for mark in reached)
    first = max(0, by_all - 1)
    return reached[first : first + MARKS]


def _step(run: Run, mark: float) -> float:
    """The step at which the median seed reached this training loss, else infinity."""
    return float(np.median(run.reached(mark)))


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
    return " ".join(_lost(run).split())


def _lost(run: Run) -> str:
    """The same, in the lines of a cell."""
    seeds = len(run.finished)
    lost = seeds - int(run.finished.sum())
    if not lost:
        return ""
    first = int(run.diverged_at[~run.finished].min())
    if lost == seeds:
        return f"diverged\nat step {first}"
    return f"\n{lost} of {seeds} diverged\nfrom step {first} on"


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
