"""The pictures of a sweep: lines with bands, and heat maps of two hyperparameters."""

from typing import Any

import numpy as np

from .. import errors, plotting
from ..plotting.heat_map import colour_scale
from ..plotting.style import SHADES, axes_of

LOST = plotting.COLOURS[3]


def draw(
    found: Any, metric: str, x: str | None, y: str | None, mode: str, ax: Any
) -> Any:
    """Draw a metric of a sweep over one or two hyperparameters; return the figure."""
    points = found.points()
    varied = [name for name, values in points.items() if len(np.unique(values)) > 1]
    varied = varied or list(points)[:1]
    for name in (x, y):
        if name is not None and name not in points:
            raise errors.AdamxError(
                f"Sweep: `x` and `y` must be hyperparameters of the sweep, got "
                f"{name!r}. {errors.suggest(name, points)}"
            )
    across = x
    if across is None:
        rest = [name for name in varied if name != y]
        if len(rest) > (2 if y is None else 1):
            raise errors.AdamxError(
                f"Sweep: `x`, or `x` and `y`, must name the hyperparameters to draw, "
                f"since {errors.listed(varied)} vary. Write plot(x={rest[0]!r})."
            )
        across = rest[0] if rest else varied[0]
        y = y or (rest[1] if len(rest) > 1 else None)
    ax = axes_of("Sweep.plot", ax, (7, 4.2))
    scores = found.scores(metric, mode=mode)
    values = found.at_end(metric)
    lost = found["diverged"].reshape(values.shape) | ~np.isfinite(values)
    names = [across] if y is None else [across, y]
    chosen = _best_at(np.stack([points[n] for n in names], 1), scores, mode)
    places = {name: points[name][chosen] for name in names}
    part = scores[chosen], values[chosen], lost[chosen]
    others = [name for name in varied if name not in names]
    note = f", best over {' and '.join(others)}" if others else ""
    seeds = f"median of {found.seeds} seeds" if found.seeds > 1 else "1 seed"
    title = f"{metric}, {seeds}{note}"
    if y is None:
        _line(ax, places[across], *part, title, across, metric)
    elif len(np.unique(places[across])) * len(np.unique(places[y])) == len(chosen):
        _map(ax, places, part[0], lost[chosen], title, mode)
    else:
        _dots(ax, places, part[0], lost[chosen], title, mode)
    return ax.figure


def _best_at(where: np.ndarray, scores: np.ndarray, mode: str) -> np.ndarray:
    """Return the best point at each place, in the order of the places."""
    ranks = scores if mode == "min" else -scores
    _, places = np.unique(where, axis=0, return_inverse=True)
    places = places.reshape(-1)
    order = np.lexsort((ranks, places))
    _, first = np.unique(places[order], return_index=True)
    return order[first]


def _is_wide(values: np.ndarray) -> bool:
    """Return whether values are drawn on a logarithmic axis."""
    seen = values[np.isfinite(values)]
    return bool(len(seen)) and seen.min() > 0 and seen.max() >= 10 * seen.min()


def _line(
    ax: Any,
    at: np.ndarray,
    scores: np.ndarray,
    values: np.ndarray,
    lost: np.ndarray,
    title: str,
    x: str,
    metric: str,
) -> None:
    seen = np.where(lost, np.nan, values)
    alive = ~lost.all(1)
    log = ("x" if _is_wide(at) else "") + ("y" if _is_wide(seen) else "")
    plotting.tidy(ax, title, x=x, y=metric, log=log)
    colour = plotting.COLOURS[0]
    low = np.full(len(at), np.nan)
    middle, high = low.copy(), low.copy()
    low[alive] = np.nanmin(seen[alive], 1)
    middle[alive] = np.nanmedian(seen[alive], 1)
    high[alive] = np.nanmax(seen[alive], 1)
    ax.fill_between(at, low, high, color=colour, alpha=0.18, lw=0)
    plotting.line(ax, at, middle, plotting.look(0), marks=len(at))
    for place in np.flatnonzero(lost.any(1)):
        across = ax.get_xaxis_transform()
        ax.plot(at[place], 0.97, "X", color=LOST, ms=7, mec="white", transform=across)
    if lost.any():
        text = f"✕ some seeds diverged ({int(lost.sum())} of {lost.size} runs)"
        corner = {"transform": ax.transAxes, "va": "top", "ha": "left"}
        ax.text(0.01, 0.91, text, color=plotting.darker(LOST), fontsize=9, **corner)


def _map(
    ax: Any,
    places: dict[str, np.ndarray],
    scores: np.ndarray,
    lost: np.ndarray,
    title: str,
    mode: str,
) -> None:
    """Draw all combinations of two hyperparameters, sorted by x, then by y."""
    (x, across), (y, up) = places.items()
    rows, columns = np.unique(up), np.unique(across)
    shape = len(columns), len(rows)
    plotting.heat_map(
        scores.reshape(shape).T,
        rows.tolist(),
        columns.tolist(),
        row_label=y,
        column_label=x,
        value_label=title,
        best=mode,
        ax=ax,
    )
    if lost.shape[1] == 1:
        return
    corners = ax.collections[0].get_coordinates()
    for place in np.flatnonzero(lost.any(1) & ~lost.all(1)):
        column, row = divmod(int(place), len(rows))
        low, high = corners[row, column], corners[row + 1, column + 1]
        (left, bottom), (right, _) = ax.transData.transform([low, high])
        spot = ax.transAxes.inverted().transform([(left + right) / 2, bottom])
        text = f"{int(lost[place].sum())}/{lost.shape[1]} diverged"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        look = {"ha": "center", "va": "bottom", "fontsize": 7, "bbox": box}
        ax.text(*spot, text, transform=ax.transAxes, **look)


def _dots(
    ax: Any,
    places: dict[str, np.ndarray],
    scores: np.ndarray,
    lost: np.ndarray,
    title: str,
    mode: str,
) -> None:
    """Draw points of two hyperparameters that are no grid, as of a random search."""
    (x, across), (y, up) = places.items()
    log = ("x" if _is_wide(across) else "") + ("y" if _is_wide(up) else "")
    plotting.tidy(ax, x=x, y=y, log=log)
    seen = np.isfinite(scores)
    shown = scores[seen]
    norm = colour_scale(shown, None, mode)
    drawn = ax.scatter(across[seen], up[seen], c=shown, s=60, cmap=SHADES, norm=norm)
    more = shown.size and shown.max() > norm.vmax
    bar = ax.figure.colorbar(drawn, ax=ax, extend="max" if more else "neither")
    bar.set_label(title)
    ax.plot(across[lost.any(1)], up[lost.any(1)], "X", color=LOST, ms=7, mec="white")
    best = int(scores.argmin() if mode == "min" else scores.argmax())
    if np.isfinite(scores[best]):
        ax.plot(across[best], up[best], "o", ms=13, mfc="none", mec="black", mew=1.6)
    said = ["○ best"] if np.isfinite(scores[best]) else []
    if lost.any():
        said += [f"✕ some seeds diverged ({int(lost.sum())} of {lost.size} runs)"]
    if said:
        text = ", ".join(said)
        ax.set_title(text, loc="left", fontsize=9, color=plotting.INK)
