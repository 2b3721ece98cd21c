"""What all pictures share: colours, markers, dashes, axes and their labels.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish, each
with its own marker and, among neighbours, its own dash, so that a picture can be read
in grey. The first picture imports Matplotlib.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import errors

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


DASHES = ("-", (0, (6, 1.5)), (0, (1.5, 1)), "-", (0, (4, 2)), (0, (6, 1.5, 1.5, 1.5)))


INK, AXIS, GRID = "#222222", "#888888", "#DDDDDD"


SHADES = "cividis"
"""The colour map of ordered things: its lightness only grows, for all readers."""


SHORT = 30.0
"""A logarithmic axis whose end is less than so many times its start is short."""


def look(place: int) -> dict[str, Any]:
    """Return the line style of the series at this place: colour, marker and dash."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
    }


def darker(colour: str, share: float | int = 0.8) -> str:
    """The colour for text: orange and sky are too pale to be read on white."""
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(share * channel):02X}" for channel in channels)


def shades(count: int) -> list[Any]:
    """Return so many colours from dark to light, evenly apart in lightness."""
    places = np.linspace(0.05, 0.95, count) if count > 1 else np.array([0.3])
    return list(matplotlib("pyplot").get_cmap(SHADES)(places))


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    size: Sequence[float | int] = (9, 4),
    heights: Sequence[float | int] | None = None,
) -> Any:
    """Make a figure and its axes, an array if there are several."""
    given = {"figsize": size, "height_ratios": heights, "layout": "constrained"}
    return matplotlib("pyplot").subplots(rows, columns, **given)


def axes_of(where: str, ax: Any, size: Sequence[float | int]) -> Any:
    """Return the axes to draw on: those given, or those of a new figure.

    A notebook shows a figure that is the value of a cell, and besides that every figure
    that pyplot has open: a new one is closed there, to be shown once.
    """
    if ax is None:
        figure, ax = panels(size=size)
        if "inline" in matplotlib("pyplot").get_backend().lower():
            matplotlib("pyplot").close(figure)
    elif not (hasattr(ax, "plot") and hasattr(ax, "get_figure")):
        raise errors.type_error(
            where,
            "`ax` must be one axes of Matplotlib",
            errors.shown(ax),
            "Pass for example the ax of `figure, ax = plt.subplots()`; of an array of "
            "axes, one of them.",
        )
    return ax


def divided(
    where: str,
    ax: Any,
    rows: int,
    columns: int = 1,
    *,
    heights: Sequence[float | int] | None = None,
) -> list[Any]:
    """Return panels that take the place of one axes, row by row; it is emptied."""
    place = ax.get_subplotspec()
    if place is None:
        raise errors.AdamxError(
            f"{where}: `ax` must have a place in a grid, which several panels share, "
            f"got one of figure.add_axes. Take it from plt.subplots."
        )
    ax.set_axis_off()
    grid = place.subgridspec(rows, columns, height_ratios=heights)
    figure = ax.figure
    return [figure.add_subplot(grid[i, j]) for i in range(rows) for j in range(columns)]


def figure_of(ax: Any) -> Any:
    """Return the whole figure that an axes is in."""
    return ax.get_figure(root=True)


def tidy(ax: Any, title: str = "", *, x: str = "", y: str = "", log: str = "") -> None:
    """Set grid, spines and labels. `log` names the logarithmic axes, such as "xy"."""
    ticker = matplotlib("ticker")
    for axis, name in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        if name in log:
            getattr(ax, f"set_{name}scale")("log")
            axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
            axis.set_minor_formatter(ticker.FuncFormatter(_between(axis)))
    ax.set_title(title, loc="left", color=INK, fontweight="bold", fontsize=11)
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    ax.grid(which="major", color=GRID, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(AXIS)
    ax.tick_params(which="both", color=AXIS, labelcolor=INK)


def _between(axis: Any) -> Any:
    """Return the labels between powers of ten: 2 and 5 of a short axis, else none."""

    def label(value: float, _: Any) -> str:
        low, high = sorted(axis.get_view_interval())
        short = low > 0 and high < SHORT * low
        return f"{value:g}" if short and f"{value:.0e}"[0] in "25" else ""

    return label


def matplotlib(module: str) -> Any:
    """Return a module of Matplotlib by name, such as "pyplot"."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise ImportError(
            "adamx.plotting: pictures need matplotlib, which is not "
            'installed; install it with pip install "adamx[plot]".'
        ) from None
