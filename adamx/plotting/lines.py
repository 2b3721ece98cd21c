"""Lines with a few markers, their bands, and their names beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .style import darker, look

GAP = 0.18  # between two names beside the lines, in inches


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
