"""Plots: curves with bands, and paths over a surface.

All use the colours of Okabe and Ito, which colour-blind readers can distinguish, each
with its own marker and, among neighbours, its own dash. Names are written beside the
lines, in a darker shade of their colour, instead of in a legend. The first plot imports
Matplotlib.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

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


GAP = 0.18  # between two names beside the lines, in inches


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


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    size: Sequence[float | int] = (9, 4),
    heights: Sequence[float | int] | None = None,
) -> Any:
    """Make a figure and its axes, an array if there are several."""
    given = {"figsize": size, "height_ratios": heights, "layout": "constrained"}
    return _matplotlib("pyplot").subplots(rows, columns, **given)


def tidy(ax: Any, title: str = "", *, x: str = "", y: str = "", log: str = "") -> None:
    """Set grid, spines and labels. `log` names the logarithmic axes, such as "xy"."""
    ticker = _matplotlib("ticker")
    for axis, name in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        if name in log:
            getattr(ax, f"set_{name}scale")("log")
            axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
    ax.set_title(title, loc="left", color=INK, fontweight="bold", fontsize=11)
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    ax.grid(which="major", color=GRID, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(AXIS)
    ax.tick_params(which="both", color=AXIS, labelcolor=INK)


def line(ax: Any, x: Any, y: Any, style: dict[str, Any], *, marks: int = 6) -> None:
    """Draw one line with a few of its markers."""
    every = max(1, len(y) // marks) if marks else []
    edge = {"mec": "white", "mew": 0.6}
    ax.plot(x, y, lw=1.8, ms=5, markevery=every, **edge, **style)


def curves(
    ax: Any, series: Mapping[str, Any], x: Any = None, *, marks: int = 6
) -> None:
    """Draw each series as a line with its name; two dimensions as median and range.

    Call `tidy` first: the names are placed by the final scale.
    """
    ends = []
    for place, (name, values) in enumerate(series.items()):
        values = np.atleast_2d(np.asarray(values, float))
        at = np.arange(values.shape[1]) if x is None else np.asarray(x)
        style = look(place)
        middle = np.median(values, 0)
        if len(values) > 1:
            band = values.min(0), values.max(0)
            ax.fill_between(at, *band, color=style["color"], alpha=0.18, lw=0)
        line(ax, at, middle, style, marks=marks)
        ends.append((name, at, middle, style["color"]))
    ax.margins(x=0.01)
    name_lines(ax, ends)


def name_lines(ax: Any, ends: Sequence[tuple[str, Any, Any, str]]) -> None:
    """Write the names of (name, x, y, colour) at the right ends, without overlap."""
    ax.get_ylim()  # fixes the scale
    placed = []
    for name, x, y, colour in ends:
        seen = np.flatnonzero(np.isfinite(y))
        if len(seen):
            at = ax.transData.transform((x[seen[-1]], y[seen[-1]]))
            right, up = ax.transAxes.inverted().transform(at)
            placed.append((min(max(up, 0.0), 1.0), right, name, colour))
    placed.sort(key=lambda end: end[0])
    inches = ax.get_position().height * ax.figure.get_figheight()
    heights = apart(np.array([end[0] for end in placed]), GAP / inches)
    for height, (up, right, name, colour) in zip(heights, placed, strict=True):
        leader = {"color": colour, "lw": 0.8, "alpha": 0.6, "clip_on": False}
        ax.plot([right, 1.035], [up, height], transform=ax.transAxes, **leader)
        where = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
        shade = darker(colour)
        ax.annotate(name, (1.045, height), color=shade, fontweight="bold", **where)


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Move sorted places until neighbours are at least `gap` apart."""
    for _ in range(1000):
        push = np.clip(gap - np.diff(places), 0, None) / 2
        if push.max(initial=0) < 1e-6:
            break
        places[:-1] -= push
        places[1:] += push
    return places


def surface(
    ax: Any,
    height: Callable[[Any], Any],
    x: Sequence[float | int],
    y: Sequence[float | int],
    *,
    levels: int = 14,
    low: float = 0.02,
) -> None:
    """Draw contours of `height((x, y))`, evenly spaced in log(height + low)."""
    across, up = np.meshgrid(np.linspace(x[0], x[1], 240), np.linspace(y[0], y[1], 240))
    heights = np.log(np.asarray(height(np.stack([across, up]))) + low)
    steps = np.linspace(heights.min(), heights.max(), levels)
    ax.contourf(across, up, heights, steps, cmap="Greys", alpha=0.22, antialiased=False)
    white = {"colors": "white", "linewidths": 0.8, "linestyles": "solid"}
    ax.contour(across, up, heights, steps, **white)
    ax.set(xlim=x, ylim=y, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def paths(
    ax: Any, walked: Mapping[str, Any], *, marks: int = 12, place: int = 0
) -> None:
    """Draw paths of shape (steps + 1, 2) from one start, styled from `place` on."""
    for at, (name, path) in enumerate(walked.items(), place):
        path = np.asarray(path)
        line(ax, path[:, 0], path[:, 1], look(at) | {"label": name}, marks=marks)
    for path in walked.values():  # a white edge under each, to stand out from the grey
        ax.plot(*np.asarray(path).T, color="white", lw=3.6, zorder=1.9)
    first = next(iter(walked.values()))[0]
    ax.plot(*first, "o", ms=9, mfc="white", mec=INK, mew=1.5)
    ax.annotate("start", first, (8, 6), textcoords="offset points", color=INK)


def pictures(
    ax: Any, images: Any, labels: Sequence[Any], right: Sequence[bool]
) -> None:
    """Draw small pictures in a row with their labels: blue if right, else vermilion."""
    images = np.asarray(images)
    gap = np.full((images.shape[1], 1), images.min())
    ax.imshow(np.hstack([np.hstack([image, gap]) for image in images]), cmap="Greys")
    ax.axis("off")
    width = images.shape[2] + 1
    for i, (label, fits) in enumerate(zip(labels, right, strict=True)):
        colour = COLOURS[0] if fits else COLOURS[3]
        ax.text(width * i + width / 2 - 1, -1, str(label), color=colour, ha="center")


def _matplotlib(module: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise ImportError(
            "adamx.plotting: pictures need matplotlib, which is not "
            'installed; install it with pip install "adamx[plot]".'
        ) from None
