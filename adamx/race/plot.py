"""The plot of a race: loss curves with their range over the seeds.

The line is the median of the seeds and the band goes from the lowest to the highest.
An optimizer has the same look in every race.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from adamx import plotting as plots

from .optimizers import OPTIMIZERS
from .table import diverged
from .training import Run

PANELS = (("train_loss", "Training loss"), ("test_loss", "Test loss"))


def draw(runs: Sequence[Run], title: str) -> Figure:
    """Training and test loss beside each other."""
    with matplotlib.rc_context({"font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(11, 5), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        for ax, (key, label) in zip(figure.subplots(1, 2), PANELS, strict=True):
            plots.tidy(ax, label, x="steps", log="y")
            _panel(ax, runs, key)
        seeds = len(runs[0].finished)
        band = f"\nline: median, band: lowest to highest of {seeds} seeds"
        text = title + (band if seeds > 1 else "")
        figure.suptitle(text, color=plots.INK, fontsize=10)
    return figure


def save(figure: Figure, path: str) -> None:
    """In the format that the path's ending says."""
    figure.savefig(path, facecolor="white")


def formats() -> list[str]:
    """The endings that `save` takes."""
    return sorted(FigureCanvasAgg(Figure()).get_supported_filetypes())


def style(name: str) -> dict[str, Any]:
    """The look of an optimizer's line, the same in every race."""
    return plots.look(list(OPTIMIZERS).index(name))


def _panel(ax: Any, runs: Sequence[Run], key: str) -> None:
    ends = []
    for run in runs:
        look = style(run.name)
        low, middle, high = _range(run, key)
        ax.fill_between(run.steps, low, high, color=look["color"], alpha=0.18, lw=0)
        plots.line(ax, run.steps, middle, look)
        name = f"{run.name} (diverged)" if diverged(run) else run.name
        ends.append((name, run.steps, middle, look["color"]))
    ax.margins(x=0.01)
    if limits := _limits(runs, key):
        ax.set_ylim(*limits)
    plots.name_lines(ax, ends)


def _range(run: Run, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest, median and highest of the seeds that did not diverge, else of all."""
    keep = run.finished if run.finished.any() else np.ones_like(run.finished)
    curves = getattr(run, key)[keep]
    seen = np.isfinite(curves).all(0) & (curves > 0).all(0)
    curves = np.where(seen, curves, np.nan)
    return curves.min(0), np.median(curves, 0), curves.max(0)


def _limits(runs: Sequence[Run], key: str) -> tuple[float, float] | None:
    """Of the panel, where a diverged line would take the others' room."""
    alive = [_range(run, key) for run in runs if run.finished.any()]
    if len(alive) in (0, len(runs)):
        return None
    lowest = min(float(np.nanmin(low)) for low, _, _ in alive)
    return lowest / 2, 3 * max(float(np.nanmax(high)) for _, _, high in alive)
