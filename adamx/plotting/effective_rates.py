"""Effective learning rates, |update| / |gradient|: over time, and by layer."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import errors
from ..engine.paths import leaves_by_path
from ..engine.tree import shared_dtype
from ..numerics.arithmetic import safe_divide
from ..observation.statistics import QUANTILES, RANKED, row_of
from ..observation.thinning import thinned
from .history import read_history
from .lines import line, name_lines
from .style import (
    AXIS,
    COLOURS,
    INK,
    SHADES,
    axes_of,
    figure_of,
    look,
    matplotlib,
    tidy,
)

KEY = "effective_rate_"
LABEL = "effective rate |u| / |g|"
UNIT = "(units of θ / units of g)"
MOST_LINES = len(COLOURS)
"""With more series the picture is one of cells."""
MOST_BANDS = 3
"""With more series there are only medians."""


def layer_rates(
    grads: Any, updates: Any, *, elements: int = RANKED
) -> dict[str, Array]:
    """Return quantiles of the effective rates of each leaf, as a flat dict of scalars.

        updates, state = tx.update(grads, state, params)
        rates = adamx.plotting.layer_rates(grads, updates)  # inside the compiled step

    The keys are those of `adamx.metrics` after the path of the leaf, such as
    `layers/0/kernel/effective_rate_p50`: the smallest number up to which 5, 50 or 95 %
    of |update| / |gradient| lie, over the elements whose gradient is not 0; 0 if there
    are none.

    Args:
        grads: the gradients that the optimizer was given.
        updates: what it returned.
        elements: about how many elements of each leaf are sorted, evenly spaced.

    Raises:
        ValueError: the trees have other leaves.
    """
    given, made = dict(leaves_by_path(grads)), dict(leaves_by_path(updates))
    if given.keys() != made.keys():
        other = sorted(given.keys() ^ made.keys())
        raise errors.AdamxError(
            f"layer_rates: `grads` and `updates` must have the same leaves, got "
            f"{errors.listed(other)} in one of them. Pass what tx.update was given and "
            f"what it returned."
        )
    found: dict[str, Array] = {}
    for path, g in given.items():
        u = made[path]
        if g is None or u is None:
            continue
        stride = max(1, -(-g.size // elements))
        wide = [row_of(thinned(x, stride)).astype(shared_dtype()) for x in (g, u)]
        for name, rate in _quantiles(*wide).items():
            found[f"{path or 'the only leaf'}/{KEY}{name}"] = rate
    return found


def _quantiles(g: Array, u: Array) -> dict[str, Array]:
    rates = jnp.sort(jnp.where(g == 0, jnp.inf, jnp.abs(safe_divide(u, g))))
    number = jnp.sum(g != 0)
    found = {}
    for name, share in QUANTILES.items():
        at = jnp.clip(jnp.ceil(share * number).astype(jnp.int32) - 1, 0, g.size - 1)
        found[name] = jnp.where(number > 0, rates[at], 0)
    return found


def effective_rates(history: Any, *, ax: Any = None) -> Any:
    """Draw the effective learning rates over time: median, and from 5 to 95 %.

        history.append(adamx.metrics(state))  # at any steps, or all
        ...
        adamx.plotting.effective_rates(history)

    There is a line for the whole tree, and one for each group of `adamx.groups` and
    `optax.partition`. Of `layer_rates` there is one for each leaf. More than 3 are
    drawn without their range, and more than 7 as rows of cells, darker for smaller
    medians. An effective rate is in units of the parameter for each unit of the
    gradient.

    Args:
        history: a list of `adamx.metrics(state)` or of `layer_rates`, or the dict of
            arrays that `lax.scan` makes of them. A step that was not sampled anew is
            drawn once.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: there are no effective rates in the history.
        TypeError: the history is of another form.
        ImportError: Matplotlib is not installed.
    """
    read = read_history("effective_rates", history)
    keys = [KEY + name for name in QUANTILES]
    series = {
        _name(prefix): read.over_steps(*keys, prefix=prefix)
        for prefix in read.prefixes(f"{KEY}p50")
    }
    if len(series) > MOST_LINES:
        return _cells(series, ax)
    ax = axes_of("effective_rates", ax, (8, 3.8))
    banded = len(series) <= MOST_BANDS
    title = f"Effective rates: median{', and 5 to 95 % of the elements' * banded}"
    tidy(ax, title, x="step", y=f"{LABEL}\n{UNIT}", log="y")
    ends = []
    for place, (name, values) in enumerate(series.items()):
        steps, low, middle, high = (_positive(x) for x in values)
        style = look(place)
        if banded:
            ax.fill_between(steps, low, high, color=style["color"], alpha=0.18, lw=0)
        line(ax, steps, middle, style)
        ends.append((name, steps, middle, style["color"]))
    ax.margins(x=0.01)
    name_lines(ax, ends)
    return figure_of(ax)


def _name(prefix: str) -> str:
    return prefix.removesuffix("/") or "all leaves"


def _positive(x: np.ndarray) -> np.ndarray:
    """Return NaN for 0, which has no place on a logarithmic axis."""
    return np.where(x > 0, x, np.nan)


def _cells(series: dict[str, list[np.ndarray]], ax: Any) -> Any:
    names = list(series)
    steps = np.unique(np.concatenate([values[0] for values in series.values()]))
    medians = np.full((len(names), len(steps)), np.nan)
    for row, values in enumerate(series.values()):
        medians[row, np.searchsorted(steps, values[0])] = _positive(values[2])
    ax = axes_of("effective_rates", ax, (8, 1.4 + 0.24 * len(names)))
    tidy(ax, "Effective rates: the median of each layer", x="step")
    ax.grid(False)
    edges = np.interp(np.arange(len(steps) + 1) - 0.5, np.arange(len(steps)), steps)
    if len(steps) == 1:
        edges = steps[0] + np.array([-0.5, 0.5])
    rows = np.arange(len(names) + 1) - 0.5
    norm = matplotlib("colors").LogNorm()
    mesh = ax.pcolormesh(
        edges, rows, np.ma.masked_invalid(medians), cmap=SHADES, norm=norm
    )
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.set_label(f"{LABEL}, log scale\n{UNIT}", color=INK)
    return figure_of(ax)


def rates_by_layer(rates: Any, *, step: int | None = None, ax: Any = None) -> Any:
    """Draw the effective learning rates of each layer or group at one step.

    A mark is the median, and its line goes from 5 to 95 % of the elements.

    Args:
        rates: what `layer_rates` or `adamx.metrics` returned at a step, or a history of
            them (see `effective_rates`).
        step: the step of a history to draw; None for the last one.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: there are no effective rates, or not those of this step.
        TypeError: `rates` is of another form.
        ImportError: Matplotlib is not installed.
    """
    where = "rates_by_layer"
    single = hasattr(rates, "values") and all(np.ndim(x) == 0 for x in rates.values())
    read = read_history(where, [rates] if single else rates)
    names, found, shown = [], [], set()
    for prefix in read.prefixes(f"{KEY}p50"):
        steps, *each = read.over_steps(*(KEY + n for n in QUANTILES), prefix=prefix)
        at = np.flatnonzero(steps == step) if step is not None else [len(steps) - 1]
        if not len(steps) or not len(at):
            known = errors.shorten(", ".join(f"{x:g}" for x in steps)) or "none"
            raise errors.AdamxError(
                f"{where}: `step` must be one that was sampled, got {step!r}. There "
                f"is {known}."
            )
        names.append(_name(prefix))
        found.append([_positive(x)[at[0]] for x in each])
        shown.add(f"{steps[at[0]]:g}")
    ax = axes_of(where, ax, (7.5, 1.3 + 0.3 * len(names)))
    title = "" if single and "step" not in rates else f" at step {', '.join(shown)}"
    tidy(ax, f"Effective rates by layer{title}", log="x")
    ax.set_xlabel(f"{LABEL} {UNIT}: median, and 5 to 95 % of the elements", color=INK)
    low, middle, high = np.array(found).T
    rows = np.arange(len(names))
    ax.hlines(rows, low, high, color=AXIS, lw=2.5)
    ax.plot(middle, rows, "o", ms=7, color=COLOURS[0], mec="white", mew=0.8)
    ax.set_yticks(rows, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    return figure_of(ax)
