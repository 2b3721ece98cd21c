"""Paths of optimizers over a surface, as a picture and as an animation."""

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import errors
from ..engine.options import Range, whole
from .placing import name_places
from .style import GRID, INK, axes_of, darker, figure_of, look, matplotlib, tidy
from .surfaces import Surface, surface_named

GRID_POINTS = 200
"""The heights are computed on a grid of so many points to a side."""


def trajectory(surface: Any, tx: Any, start: Any = None, steps: int = 100) -> Any:
    """Return the points that an optimizer visits on a surface, in one compiled scan.

        path = adamx.plotting.trajectory("rosenbrock", adamx.adam(0.05), steps=300)

    It is `tx.update` with the gradient at each point and `optax.apply_updates`. It may
    be inside `jax.jit` and `jax.vmap`, such as over learning rates.

    Args:
        surface: a name of `SURFACES`, a `Surface`, or a function of an array (x, y).
        tx: any gradient transformation. It is given `value`, `grad` and `value_fn`
            too, for the line searches of Optax.
        start: the first point (x, y); None for that of the surface.
        steps: the number of steps, at least 1.

    Returns:
        An array of shape (steps + 1, 2), the start first.

    Raises:
        ValueError: an unknown surface, a start that is no point, no steps.
        TypeError: `tx` is no gradient transformation.
    """
    where = "trajectory"
    known = surface_named(where, surface)
    height = surface if known is None else known.height
    first = _start(where, known, start)
    _check_steps(where, steps)
    _check_transformation(where, "`tx`", tx)
    return _walked(height, tx, first, steps)


def _walked(height: Any, tx: Any, start: Any, steps: int) -> Any:
    tx = optax.with_extra_args_support(tx)

    def step(carry: Any, _: Any) -> Any:
        at, state = carry
        value, grad = jax.value_and_grad(height)(at)
        more = {"value": value, "grad": grad, "value_fn": height}
        updates, state = tx.update(grad, state, at, **more)
        at = optax.apply_updates(at, updates)
        return (at, state), at

    def whole(start: Any) -> Any:
        _, path = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return jnp.concatenate([start[None], path])

    return jax.jit(whole)(start)


def surface_paths(
    surface: Any,
    optimizers: Mapping[str, Any],
    start: Any = None,
    steps: int = 100,
    *,
    x: Sequence[float | int] | None = None,
    y: Sequence[float | int] | None = None,
    heights: bool = True,
    ax: Any = None,
) -> Any:
    """Draw the paths that optimizers take over a surface, each with its name.

        adamx.plotting.surface_paths(
            "rosenbrock", {"SGD": adamx.sgd(1e-3), "Adam": adamx.adam(0.05)}, steps=300
        )

    Each path is a `trajectory`. The contours are at 1, 2 and 5 of each power of ten
    of the height above the lowest point shown. Stars are the lowest points of a known
    surface. The name of a path says if it is not finite, or ends outside of the
    picture.

    Args:
        surface: a name of `SURFACES`, a `Surface`, or a function of an array (x, y)
            whose first axis has length 2.
        optimizers: gradient transformations by the name to write.
        start: the first point (x, y); None for that of the surface.
        steps: the number of steps, at least 1.
        x, y: the ranges to show; None for those of the surface, or for a plain
            function those of the paths, as far as they are not above the start.
        heights: whether to draw the scale of the heights beside the picture.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: an unknown surface, no optimizers, a start that is no point.
        TypeError: an argument of another type.
        ImportError: Matplotlib is not installed.
    """
    where = "surface_paths"
    scene = _scene(where, surface, optimizers, start, steps, x, y)
    ax = axes_of(where, ax, (7.2, 5))
    _ground(ax, scene, heights)
    _named_paths(ax, scene)
    return figure_of(ax)


def surface_animation(
    surface: Any,
    optimizers: Mapping[str, Any],
    start: Any = None,
    steps: int = 100,
    *,
    x: Sequence[float | int] | None = None,
    y: Sequence[float | int] | None = None,
    heights: bool = True,
    frames: int = 50,
    seconds: float | int = 5,
    ax: Any = None,
) -> Any:
    """Animate the paths that optimizers take over a surface.

        film = adamx.plotting.surface_animation("beale", {"Adam": adamx.adam(0.1)})
        film.save("paths.gif", writer="pillow")

    As the value of a cell, a notebook shows it with its controls.

    Args:
        surface, optimizers, start, steps, x, y, heights, ax: as in `surface_paths`.
        frames: the number of pictures, at least 2; each shows the paths up to a step,
            the last one up to the last.
        seconds: how long it takes to play.

    Returns:
        A `matplotlib.animation.FuncAnimation`.

    Raises:
        ValueError: as in `surface_paths`; fewer than 2 frames, or no time.
        TypeError: as in `surface_paths`.
        ImportError: Matplotlib is not installed.
    """
    where = "surface_animation"
    if not (isinstance(frames, int) and frames >= 2):
        raise errors.AdamxError(
            f"{where}: `frames` must be an integer of at least 2, got "
            f"{errors.shown(frames)}. It is the number of pictures; 50 is usual."
        )
    if not seconds > 0:
        raise errors.AdamxError(
            f"{where}: `seconds` must be above 0, got {errors.shown(seconds)}. It is "
            f"how long the animation takes to play."
        )
    scene = _scene(where, surface, optimizers, start, steps, x, y)
    own, ax = ax is None, axes_of(where, ax, (6, 4.2))
    _ground(ax, scene, heights)
    drawn = _named_paths(ax, scene)
    shown = np.unique(np.linspace(0, steps, frames).round().astype(int))

    def upto(step: int) -> list[Any]:
        for lines, path in zip(drawn, scene.paths.values(), strict=True):
            for line in lines:
                line.set_data(*path[: step + 1].T)
        ax.set_title(f"step {step} of {steps}", loc="right", color=INK, fontsize=10)
        return [line for lines in drawn for line in lines]

    if own:  # the places of the axes need not be found for every frame
        upto(steps)
        figure_of(ax).draw_without_rendering()
        figure_of(ax).set_layout_engine("none")
    matplotlib("animation")
    player = importlib.import_module("adamx.plotting.player")
    times = {"frames": shown, "interval": 1000 * seconds / len(shown), "repeat": True}
    return player.PathAnimation(figure_of(ax), upto, init_func=lambda: upto(0), **times)


class _Scene(NamedTuple):
    """What is drawn: the function, its lowest points, the ranges, and the paths."""

    height: Any
    minima: tuple[tuple[float, float], ...]
    x: tuple[float, float]
    y: tuple[float, float]
    paths: dict[str, np.ndarray]


def _scene(
    where: str, surface: Any, optimizers: Any, start: Any, steps: int, x: Any, y: Any
) -> _Scene:
    known = surface_named(where, surface)
    if not (isinstance(optimizers, Mapping) and optimizers):
        raise errors.type_error(
            where,
            "`optimizers` must be a dict of transformations by the name to write",
            errors.shown(optimizers),
            'Pass for example {"Adam": adamx.adam(0.1)}.',
        )
    _check_steps(where, steps)
    first = _start(where, known, start)
    for name, tx in optimizers.items():
        _check_transformation(where, f"`optimizers[{name!r}]`", tx)
    height = surface if known is None else known.height
    paths = {
        str(name): np.asarray(_walked(height, tx, first, steps))
        for name, tx in optimizers.items()
    }
    points = np.concatenate(list(paths.values())).astype(np.float64)
    above = np.asarray(height(jnp.asarray(points.T))) > float(height(first))
    points = points[np.isfinite(points).all(1) & ~above]
    ranges = [] if known is None else [known.x, known.y]
    across, up = (
        _range(where, name, given, ranges[i] if ranges else _around(points[:, i]))
        for i, (name, given) in enumerate((("x", x), ("y", y)))
    )
    minima = () if known is None else known.minima
    return _Scene(height, minima, across, up, paths)


def _check_steps(where: str, steps: Any) -> None:
    whole(where, "steps", steps, Range(1, advice="It is how many steps a path has."))


def _check_transformation(where: str, argument: str, tx: Any) -> None:
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        raise errors.type_error(
            where,
            f"{argument} must be a gradient transformation",
            errors.shown(tx),
            "Pass for example adamx.adam(0.1).",
        )


def _start(where: str, known: Surface | None, start: Any) -> Any:
    if start is None and known is not None:
        start = known.start
    point = jnp.asarray(np.nan if start is None else start, float)
    if point.shape != (2,):
        raise errors.AdamxError(
            f"{where}: `start` must be a point (x, y), got {errors.shown(start)}. Only "
            f"the surfaces of SURFACES have a start of their own."
        )
    return point


def _range(where: str, name: str, given: Any, otherwise: Any) -> tuple[float, float]:
    low, high = otherwise if given is None else (float(end) for end in given)
    if not low < high:
        raise errors.AdamxError(
            f"{where}: `{name}` must be a range (low, high), got {errors.shown(given)}."
            f" It is the part of the surface to show."
        )
    return low, high


def _around(points: np.ndarray) -> tuple[float, float]:
    low, high = float(points.min()), float(points.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


# ---- what is drawn -------------------------------------------------------------------


def _ground(ax: Any, scene: _Scene, heights: bool) -> None:
    """Draw the contours, the scale of the heights, and the lowest points."""
    sides = (np.linspace(*side, GRID_POINTS) for side in (scene.x, scene.y))
    across, up = np.meshgrid(*sides)
    found = np.asarray(scene.height(jnp.stack([jnp.asarray(across), jnp.asarray(up)])))
    found = np.ma.masked_invalid(found.astype(np.float64))
    above = found - found.min()
    levels = _levels(float(above.max()))
    norm = matplotlib("colors").BoundaryNorm(levels, 256)
    grey = matplotlib("colors").LinearSegmentedColormap.from_list(
        "adamx_ground", ["#A9A9A9", "#FAFAFA"]
    )
    filled = ax.contourf(across, up, above, levels, cmap=grey, norm=norm)
    ax.contour(across, up, above, levels, colors="white", linewidths=0.6)
    tidy(ax, x="x", y="y")
    ax.grid(False)
    ax.set(xlim=scene.x, ylim=scene.y)
    if heights:
        ticks = [x for x in levels[1:-1] if f"{x:.0e}"[0] == "1"]
        bar = ax.figure.colorbar(filled, ax=ax, ticks=ticks, pad=0.02, aspect=30)
        bar.ax.set_yticklabels([f"{level:g}" for level in ticks])
        bar.ax.minorticks_off()
        bar.set_label("height above the lowest shown", color=INK)
        bar.outline.set_edgecolor(GRID)
    for at in scene.minima:
        ax.plot(*at, "*", ms=13, mfc="white", mec=INK, mew=1.2, zorder=4)


def _levels(span: float) -> np.ndarray:
    """Return 0, the numbers 1, 2 and 5 of the four decades below `span`, and more."""
    top = math.floor(math.log10(span)) if span > 0 else 0
    each = [digit * 10.0**e for e in range(top - 3, top + 1) for digit in (1, 2, 5)]
    return np.array([0.0, *(x for x in each if x < span), span or 1.0])


def _named_paths(ax: Any, scene: _Scene) -> list[list[Any]]:
    """Draw the paths and their names; return the lines of each path."""
    drawn = []
    for place, (name, path) in enumerate(scene.paths.items()):
        style = look(place)
        every = max(1, len(path) // 12)
        under = ax.plot(*path.T, color="white", lw=3.6, zorder=2.5)
        over = ax.plot(
            *path.T,
            lw=1.8,
            ms=5,
            markevery=every,
            mec="white",
            mew=0.6,
            label=name,
            zorder=3,
            **style,
        )
        drawn.append([*under, *over])
    first = next(iter(scene.paths.values()))[0]
    ax.plot(*first, "o", ms=9, mfc="white", mec=INK, mew=1.5, zorder=4)
    _name(ax, scene, first)
    return drawn


def _name(ax: Any, scene: _Scene, first: np.ndarray) -> None:
    halo = matplotlib("patheffects").withStroke(linewidth=2.5, foreground="white")
    labels = [
        ("start", first[None]),
        *((name + _ending(path, scene), path) for name, path in scene.paths.items()),
    ]
    places = name_places(ax, labels, [first, *scene.minima])
    colours = [INK, *(darker(look(i)["color"], 0.72) for i in range(len(labels) - 1))]
    for (label, _), (at, offset), colour in zip(labels, places, colours, strict=True):
        side = "left" if offset[0] > 0 else "right"
        where = {"textcoords": "offset points", "ha": side, "va": "center"}
        style = {"fontweight": "bold", "path_effects": [halo], "zorder": 5}
        ax.annotate(label, at, offset, color=colour, **where, **style)


def _ending(path: np.ndarray, scene: _Scene) -> str:
    if not np.isfinite(path).all():
        return " (diverged)"
    at = path[-1]
    inside = scene.x[0] <= at[0] <= scene.x[1] and scene.y[0] <= at[1] <= scene.y[1]
    return "" if inside else " (left the picture)"
