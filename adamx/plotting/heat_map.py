"""The heat map of a sweep over two hyperparameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import errors
from .style import INK, SHADES, axes_of, figure_of, matplotlib, tidy

MOST = 1e4
"""Logarithmic colours end at so many times the smallest value, if it is the best."""
WIDE = 20.0
"""If the largest value is so many times the smallest, the colours are logarithmic."""


def heat_map(
    values: Any,
    rows: Sequence[Any],
    columns: Sequence[Any],
    *,
    row_label: str,
    column_label: str,
    value_label: str,
    missing_label: str = "diverged",
    best: str | None = "min",
    worst: float | None = None,
    log: bool | None = None,
    ax: Any = None,
) -> Any:
    """Draw a value for each pair of two hyperparameters, such as a loss.

        adamx.plotting.heat_map(
            losses, rates, decays, row_label="learning rate",
            column_label="weight decay", value_label="test loss (nats)",
        )

    The axes are logarithmic where each number is the same multiple of the one before,
    linear where the differences are the same; otherwise, and for texts, the cells are
    of one size. A value that is not finite is hatched, and they are counted. The best
    cell has a star; the line above says its value, and whether it is at the edge of the
    grid, where a better one may lie outside.

    Args:
        values: an array of shape (rows, columns).
        rows, columns: the hyperparameters, numbers or texts, in any order.
        row_label, column_label, value_label: what they are, with units.
        missing_label: what is said of values that are not finite.
        best: "min" or "max": which value is the best; None for no star.
        worst: values beyond it count as `missing_label`, such as a loss above the one
            before training; above it if the smallest is the best, else below it.
        log: whether colours are logarithmic; None if all finite values are above 0 and
            the largest is 20 times the smallest. They then end at 10,000 times the
            smallest if that is the best, and an arrow of the scale says that there is
            more.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: the shapes do not fit, a hyperparameter is there twice, `best` is
            another text, `log=True` with values that are not positive.
        ImportError: Matplotlib is not installed.
    """
    found = _checked(values, rows, columns, best)
    if worst is not None:
        beyond = found < worst if best == "max" else found > worst
        found = np.where(beyond, np.nan, found)
    (down, row_scale, row_order), (across, column_scale, order) = map(
        _axis, (rows, columns)
    )
    found = found[row_order][:, order]
    finite = np.isfinite(found)
    ax = axes_of("heat_map", ax, (6.6, 4.8))
    tidy(ax, x=column_label, y=row_label)
    ax.grid(False)
    shown = np.ma.array(found, mask=~finite)
    norm = colour_scale(found[finite], log, best)
    mesh = ax.pcolormesh(
        across, down, shown, cmap=SHADES, norm=norm, edgecolors="white", linewidth=0.6
    )
    _hatch(ax, across, down, ~finite)
    for axis, scale, names, edges in (
        ("x", column_scale, [columns[i] for i in order], across),
        ("y", row_scale, [rows[i] for i in row_order], down),
    ):
        _scaled(ax, axis, scale, names, edges)
    more = finite.any() and found[finite].max() > norm.vmax
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, extend="max" if more else "neither")
    logarithmic = isinstance(norm, matplotlib("colors").LogNorm)
    bar.set_label(value_label + (", log scale" if logarithmic else ""), color=INK)
    bar.outline.set_visible(False)
    _legend(
        ax,
        found,
        finite,
        (down, across),
        (row_scale, column_scale),
        best,
        missing_label,
        ([rows[i] for i in row_order], [columns[i] for i in order]),
        (row_label, column_label),
    )
    return figure_of(ax)


def _checked(values: Any, rows: Any, columns: Any, best: Any) -> np.ndarray:
    found = np.asarray(values, np.float64)
    if found.shape != (len(rows), len(columns)) or not found.size:
        raise errors.AdamxError(
            f"heat_map: `values` must have the shape (rows, columns) = "
            f"({len(rows)}, {len(columns)}), got {found.shape}. A row is for each of "
            f"`rows`; pass values.T if it is the other way round."
        )
    for name, keys in (("rows", rows), ("columns", columns)):
        if len(set(map(_plain, keys))) < len(keys):
            raise errors.AdamxError(
                f"heat_map: `{name}` must be different hyperparameters, got "
                f"{errors.shorten(str(list(map(_plain, keys))))}. Take the mean of "
                f"values that were measured more than once."
            )
    if best not in ("min", "max", None):
        raise errors.AdamxError(
            f"heat_map: `best` must be 'min', 'max' or None, got {errors.shown(best)}. "
            f"It says which value has the star."
        )
    return found


def _plain(x: Any) -> Any:
    """Return a number of any library as a float; anything else as text."""
    if isinstance(x, str | bool | np.bool_) or x is None:
        return str(x)
    try:
        return float(x)
    except (TypeError, ValueError):
        return str(x)


def _axis(keys: Sequence[Any]) -> tuple[np.ndarray, str, np.ndarray]:
    """Return the edges of the cells, the scale, and the order of the cells."""
    plain = [_plain(key) for key in keys]
    even = np.arange(len(keys) + 1) - 0.5
    if any(isinstance(x, str) for x in plain):
        return even, "names", np.arange(len(keys))
    at = np.array(plain)
    order = np.argsort(at)
    at = at[order]
    if len(at) > 1 and (at > 0).all() and _is_even(np.log(at)):
        return np.exp(_edges(np.log(at))), "log", order
    if len(at) > 1 and _is_even(at):
        return _edges(at), "linear", order
    return even, "numbers", order


def _is_even(at: np.ndarray) -> bool:
    return bool(np.allclose(np.diff(at), np.diff(at).mean(), rtol=0.05, atol=0))


def _edges(at: np.ndarray) -> np.ndarray:
    half = np.diff(at).mean() / 2
    return np.concatenate([at - half, [at[-1] + half]])


def colour_scale(values: np.ndarray, log: bool | None, best: str | None) -> Any:
    """Return the norm of the colours of finite values, as `heat_map` says of `log`."""
    colors = matplotlib("colors")
    positive = bool(len(values)) and bool((values > 0).all())
    if log and not positive:
        raise errors.AdamxError(
            "heat_map: `log` must be left out or False, got True with values that are "
            "not all above 0. They have no logarithm."
        )
    if not len(values):
        return colors.Normalize(0, 1)
    low, high = float(values.min()), float(values.max())
    if log or (log is None and positive and high > WIDE * low):
        return colors.LogNorm(low, min(high, MOST * low) if best == "min" else high)
    return colors.Normalize(low, high)


def _hatch(ax: Any, across: np.ndarray, down: np.ndarray, missing: np.ndarray) -> None:
    rectangle = matplotlib("patches").Rectangle
    look = {"facecolor": "#EEEEEE", "edgecolor": "#777777", "hatch": "///", "lw": 0}
    for i, j in np.argwhere(missing):
        size = across[j + 1] - across[j], down[i + 1] - down[i]
        ax.add_patch(rectangle((across[j], down[i]), *size, **look))


def _scaled(ax: Any, axis: str, scale: str, names: list[Any], edges: Any) -> None:
    if scale == "log":
        getattr(ax, f"set_{axis}scale")("log")
    elif scale != "linear":
        said = [f"{x:g}" if not isinstance(x, str) else x for x in map(_plain, names)]
        getattr(ax, f"set_{axis}ticks")(range(len(names)), said)
    getattr(ax, f"set_{axis}lim")(edges[0], edges[-1])


def _middle(edges: np.ndarray, i: int, scale: str) -> float:
    low, high = edges[i], edges[i + 1]
    return float(np.sqrt(low * high)) if scale == "log" else float((low + high) / 2)


def _legend(
    ax: Any,
    found: np.ndarray,
    finite: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    scales: tuple[str, str],
    best: str | None,
    missing_label: str,
    keys: tuple[list[Any], list[Any]],
    labels: tuple[str, str],
) -> None:
    """Mark the best cell, and say in a line above which it is and what is missing."""
    handles = []
    if best is not None and finite.any():
        sign = 1 if best == "min" else -1
        place = np.unravel_index(
            np.argmin(np.where(finite, sign * found, np.inf)), found.shape
        )
        up, right = (
            _middle(e, int(i), s) for e, i, s in zip(edges, place, scales, strict=True)
        )
        at_edge = any(
            n > 2 and i in (0, n - 1) for i, n in zip(place, found.shape, strict=True)
        )
        said = ", ".join(
            f"{label} {x:g}" if not isinstance(x := _plain(key[i]), str) else x
            for label, key, i in zip(labels, keys, place, strict=True)
        )
        edge = ", at the edge of the grid" if at_edge else ""
        text = f"best: {found[place]:.4g}{edge}\n({said})"
        star = {"ls": "", "ms": 15, "mfc": "white", "mec": INK, "mew": 1.2}
        handles += ax.plot(right, up, "*", label=text, zorder=4, **star)
    if not finite.all():
        text = f"{missing_label}: {int((~finite).sum())} of {finite.size}"
        patch = matplotlib("patches").Patch
        look = {"facecolor": "#EEEEEE", "edgecolor": "#777777", "hatch": "///", "lw": 0}
        handles.append(patch(label=text, **look))
    if handles:
        above = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "frameon": False}
        ax.legend(handles=handles, labelcolor=INK, fontsize=9, **above)
