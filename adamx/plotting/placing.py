"""Where the names of paths are written: beside their path, on as little as possible."""

from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH, HEIGHT = 6.8, 13.0
"""A character of the names, in points."""
OFFSETS = ((8, 9), (8, -9), (-8, 9), (-8, -9))
"""Where a name can stand beside its point, in points."""


def name_places(
    ax: Any, paths: Sequence[tuple[str, Any]], points: Sequence[Any]
) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Return for each name a point of its path, and the offset of the name from it.

    A name covers as little as it can of the paths, of the marked `points`, and of the
    names before it, and its point is far from the other paths.

    Args:
        ax: the axes, whose limits are set.
        paths: the text that is written, and an array of shape (n, 2), of each.
        points: marked points, which no name should cover.
    """
    unit = ax.figure.dpi / 72
    box = ax.get_window_extent()

    def seen(points: Any) -> np.ndarray:
        """Return points as they lie on the page, in points of 1/72 inch."""
        shown = ax.transData.transform(np.asarray(points, float))
        return (shown - [box.x0, box.y0]) / unit

    right, top = box.width / unit, box.height / unit
    lines = [_dense(seen(_finite(path))) for _, path in paths]
    marked = seen(points).reshape(-1, 2)
    boxes: list[np.ndarray] = []
    found = []
    for place, (name, path) in enumerate(paths):
        path = _finite(path)
        places = seen(path)
        inside = ((places > 0) & (places < [right, top])).all(1)
        chosen = np.flatnonzero(inside)
        chosen = chosen[:: max(1, len(chosen) // 60)] if len(chosen) else np.array([0])
        others = np.concatenate([*lines[:place], *lines[place + 1 :], marked])
        far = np.linalg.norm(places[chosen][:, None] - others[None], axis=-1).min(1)
        best = (np.inf, chosen[0], OFFSETS[0], np.zeros(4))
        for i, distance in zip(chosen, far, strict=True):
            for offset in OFFSETS:
                own = _box(places[i], offset, len(name))
                cost = 0.05 * _covered(own, lines[place]) + _covered(own, others)
                cost += 20 * _covered(own, marked) - 0.3 * min(distance, 60)
                cost += 200 * sum(_overlap(own, other) for other in boxes)
                out = (own[:2] < 2).any() or (own[2:] > [right - 2, top - 2]).any()
                cost += 400 * out
                if cost < best[0]:
                    best = (cost, i, offset, own)
        boxes.append(best[3])
        found.append((path[best[1]], best[2]))
    return found


def _finite(path: Any) -> np.ndarray:
    path = np.asarray(path, float)
    return path[np.isfinite(path).all(1)]


def _dense(line: np.ndarray) -> np.ndarray:
    """Return points along a line that are at most a few points of 1/72 inch apart."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    far = np.concatenate([[0], np.cumsum(np.minimum(steps, 2000))])
    if far[-1] == 0:
        return line
    at = np.linspace(0, far[-1], min(1500, 2 + int(far[-1] / 3)))
    return np.stack([np.interp(at, far, line[:, i]) for i in range(2)], 1)


def _box(at: np.ndarray, offset: tuple[int, int], length: int) -> np.ndarray:
    """Return the corners (left, bottom, right, top) of a name."""
    x, y = at + offset
    wide = WIDTH * length
    left = x if offset[0] > 0 else x - wide
    return np.array([left, y - HEIGHT / 2, left + wide, y + HEIGHT / 2])


def _covered(box: np.ndarray, points: np.ndarray) -> int:
    return int(((points > box[:2]) & (points < box[2:])).all(1).sum())


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one[:2] < other[2:]).all() and (other[:2] < one[2:]).all())
