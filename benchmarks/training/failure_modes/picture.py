"""Writes the pass/fail map as text and draws it as a picture."""

import math
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .search import Cell


def rows_and_columns(cells: Sequence[Cell]) -> tuple[list[str], list[str]]:
    """Optimizers and tasks in the order in which they were run."""
    optimizers = list(dict.fromkeys(cell.optimizer for cell in cells))
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    return optimizers, tasks


def mark(cell: Cell) -> str:
    """How many rates pass; "-" where none does, "x" where it raised an error."""
    if cell.error:
        return "x"
    return str(len(cell.passing)) if cell.passed else "-"


def table(cells: Sequence[Cell], across: int = 8) -> str:
    """Tasks down, optimizers across, so many at a time; below them the tasks passed."""
    optimizers, _ = rows_and_columns(cells)
    blocks = [optimizers[i : i + across] for i in range(0, len(optimizers), across)]
    return "\n\n".join(
        block([cell for cell in cells if cell.optimizer in chosen]) for chosen in blocks
    )


def block(cells: Sequence[Cell]) -> str:
    """A part of the table, as wide as its optimizers."""
    optimizers, tasks = rows_and_columns(cells)
    at = {(cell.optimizer, cell.task): cell for cell in cells}
    left = max(map(len, [*tasks, "tasks passed"]))
    widths = [max(len(optimizer), 3) for optimizer in optimizers]

    def line(name: str, entries: Sequence[str]) -> str:
        right = (f"{e:>{w}}" for e, w in zip(entries, widths, strict=True))
        return "  ".join([f"{name:<{left}}", *right])

    body = [
        line(task, [mark(at[m, task]) if (m, task) in at else "" for m in optimizers])
        for task in tasks
    ]
    passed = [
        str(sum(cell.passed for cell in cells if cell.optimizer == optimizer))
        for optimizer in optimizers
    ]
    return "\n".join([line("", optimizers), *body, line("tasks passed", passed)])


def tally(cells: Sequence[Mapping[str, Any]], by: str) -> list[tuple[str, str]]:
    """Cells as the JSON has them: each number of passes and who, "optimizer" or "task",
    has it; the most first."""
    passes = Counter({cell[by]: 0 for cell in cells})
    passes.update(cell[by] for cell in cells if cell["passed"])
    return [
        (str(n), ", ".join(name for name, count in passes.items() if count == n))
        for n in sorted(set(passes.values()), reverse=True)
    ]


def draw(cells: Sequence[Cell], path: pathlib.Path) -> None:
    """Optimizers down, tasks across; blue passes, darker at more rates, orange fails.

    In a cell that passes stands the number of rates of the grid that do; in one that
    fails, the power of ten by which the best rate misses the target.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import to_rgb

    optimizers, tasks = rows_and_columns(cells)
    rates = max(len(cell.rates) for cell in cells)
    figure, axes = pyplot.subplots(
        figsize=(2.5 + 0.42 * len(tasks), 2.6 + 0.3 * len(optimizers)),
        layout="constrained",
    )
    light, dark = to_rgb("#c6dbef"), to_rgb("#08519c")
    for cell in cells:
        x, y = tasks.index(cell.task), optimizers.index(cell.optimizer)
        if cell.error:
            colour, text, ink = "#dddddd", "x", "#666666"
        elif cell.passed:
            share = len(cell.passing) / max(rates, 1)
            colour = tuple(
                a + (b - a) * share for a, b in zip(light, dark, strict=True)
            )
            text, ink = str(len(cell.passing)), "white" if share > 0.45 else "black"
        else:
            colour, text, ink = "#e6873c", short(cell), "black"
        square = pyplot.Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, lw=0)
        axes.add_patch(square)
        axes.text(x, y, text, ha="center", va="center", fontsize=7, color=ink)
    axes.set_xlim(-0.5, len(tasks) - 0.5)
    axes.set_ylim(len(optimizers) - 0.5, -0.5)
    axes.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(optimizers)), optimizers, fontsize=8)
    axes.set_xticks([x + 0.5 for x in range(len(tasks))], minor=True)
    axes.set_yticks([y + 0.5 for y in range(len(optimizers))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(
        f"Blue: passes, at so many of {rates} learning rates.  Orange: fails, at the "
        "best rate by a factor of 10 to this power.",
        fontsize=9,
        loc="left",
    )
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def short(cell: Cell) -> str:
    """By what power of ten the best score misses the target."""
    if not math.isfinite(cell.best):
        return "∞"
    return f"{math.log10(cell.best / cell.target):.1f}"
