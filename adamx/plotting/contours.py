"""Contours of a surface, and paths over it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .lines import line
from .style import INK, look


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
