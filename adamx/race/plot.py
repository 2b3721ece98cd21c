"""The picture of a race: loss curves with their range over the seeds.

The line is the median of the seeds and the band goes from the lowest to the highest.
Colours are Okabe and Ito's, told apart by colour-blind eyes; each optimizer also has
its own marker, and its name beside its line.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .optimizers import OPTIMIZERS
from .table import diverged
from .training import Run

COLOURS = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#D55E00",  # vermilion
    "#56B4E9",  # sky
    "#CC79A7",  # purple
    "#000000",  # black
)
MARKERS = "osD^vPXh<>*p"
DASHES = ("-", "-", "-", "-", (0, (4, 2)), (0, (6, 1.5, 1.5, 1.5)))
INK, FAINT = "#222222", "#DDDDDD"
PANELS = (("train_loss", "Training loss"), ("test_loss", "Test loss"))


def draw(runs: Sequence[Run], title: str) -> Figure:
    """Training and test loss beside each other."""
    with matplotlib.rc_context({"font.family": "sans-serif", "font.size": 10}):
        figure = Figure(figsize=(11, 5), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
        for ax, (key, label) in zip(axes, PANELS, strict=True):
            _panel(ax, runs, key, label)
        seeds = len(runs[0].finished)
        band = f"\nline: median, band: lowest to highest of {seeds} seeds"
        figure.suptitle(title + (band if seeds > 1 else ""), color=INK, fontsize=10)
        figure.draw_without_rendering()
        for ax, (key, _) in zip(axes, PANELS, strict=True):
            _name_lines(ax, runs, key)
    return figure


def save(figure: Figure, path: str) -> None:
    """In the format that the path's ending says."""
    figure.savefig(path, facecolor="white")


def formats() -> list[str]:
    """The endings that `save` takes."""
    return sorted(FigureCanvasAgg(Figure()).get_supported_filetypes())


def style(name: str) -> dict[str, Any]:
    """The look of an optimizer's line, the same in every race."""
    place = list(OPTIMIZERS).index(name)
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    dashes = DASHES[place % len(DASHES)]
    return {"color": colour, "marker": marker, "linestyle": dashes}


def _panel(ax: Any, runs: Sequence[Run], key: str, label: str) -> None:
    for run in runs:
        steps, low, middle, high = _range(run, key)
        look = style(run.name)
        every = max(1, len(steps) // 6)
        ax.fill_between(steps, low, high, color=look["color"], alpha=0.18, lw=0)
        ax.plot(
            steps, middle, lw=1.8, ms=5, markevery=every, mec="white", mew=0.6, **look
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(label, loc="left", color=INK, fontweight="bold", fontsize=11)
    ax.set_xlabel("steps", color=INK)
    ax.grid(which="major", color=FAINT, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#888888")
    ax.tick_params(which="both", color="#888888", labelcolor=INK)
    ax.margins(x=0.01)
    if ceiling := _ceiling(runs, key):
        ax.set_ylim(top=ceiling)


def _ceiling(runs: Sequence[Run], key: str) -> float | None:
    """The top of the panel, where a diverged line would take the others' room."""
    alive = [run for run in runs if run.finished.any()]
    if len(alive) in (0, len(runs)):
        return None
    return 3 * max(float(np.nanmax(_range(run, key)[3])) for run in alive)


def _range(run: Run, key: str) -> tuple[np.ndarray, ...]:
    """Lowest, median and highest of the seeds that did not diverge, else of all."""
    keep = run.finished if run.finished.any() else np.ones_like(run.finished)
    curves = getattr(run, key)[keep]
    seen = np.isfinite(curves).all(0) & (curves > 0).all(0)
    curves = np.where(seen, curves, np.nan)
    return run.steps, curves.min(0), np.median(curves, 0), curves.max(0)


def _name_lines(ax: Any, runs: Sequence[Run], key: str) -> None:
    """Names at the right ends, moved apart where they would overlap."""
    ends = []
    for run in runs:
        steps, _, middle, _ = _range(run, key)
        seen = np.flatnonzero(np.isfinite(middle))
        if len(seen):
            at = ax.transData.transform((steps[seen[-1]], middle[seen[-1]]))
            ends.append((*ax.transAxes.inverted().transform(at)[::-1], run))
    ends.sort(key=lambda end: end[0])
    ends = [(min(y, 1.0), x, run) for y, x, run in ends]
    places = _apart(np.array([end[0] for end in ends]), gap=0.047)
    for place, (y, x, run) in zip(places, ends, strict=True):
        colour = style(run.name)["color"]
        leader = {"color": colour, "lw": 0.8, "alpha": 0.6, "clip_on": False}
        ax.plot([x, 1.035], [y, place], transform=ax.transAxes, **leader)
        text = f"{run.name} (diverged)" if diverged(run) else run.name
        where = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
        ax.annotate(text, (1.045, place), color=colour, fontweight="bold", **where)


def _apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Sorted places, pushed until neighbours are at least `gap` apart."""
    for _ in range(1000):
        push = np.clip(gap - np.diff(places), 0, None) / 2
        if push.max(initial=0) < 1e-6:
            break
        places[:-1] -= push
        places[1:] += push
    return places
