"""What clipping cut from the gradients."""

from typing import Any

import numpy as np

from .. import errors
from .history import History, read_history
from .lines import line, name_lines
from .style import AXIS, COLOURS, axes_of, divided, figure_of, look, tidy

NEAR = 1e-3
"""How near to the threshold a norm counts as at it: metrics are in float32."""


def clipped(
    history: Any, *, max_norm: Any = None, prefix: str = "", ax: Any = None
) -> Any:
    """Draw what clipping cut: the gradient's norm before and after it, and the share.

        clip = adamx.parts.ClipByGlobalNorm(1.0)
        tx = adamx.observe(adamx.chain(clip, adamx.adam(1e-3)), every=10)
        ...
        adamx.plotting.clipped(history)

    The upper panel has the norm before, the norm after, and between them what was cut.
    The lower one has the share of the norm that was cut, 1 - after / before, and for a
    clip of some elements or leaves only, the share of the elements that it changed.

    The metrics have the norm before the clip (`grad_norm`), the share of elements that
    it changed (`clipped`), and for clips in front of the optimizer the norm after them
    (`clipped_norm`). In a history without it, that follows from `max_norm` if the clip
    is `ClipByGlobalNorm` in front of the optimizer.

    Args:
        history: a list of `adamx.metrics(state)`, or the dict of arrays that `lax.scan`
            makes of them.
        max_norm: the threshold of `ClipByGlobalNorm`, to be drawn; None to read it from
            the history, where it is if it is tunable or a schedule.
        prefix: what stands before the keys, such as "group2/" or a label of
            `optax.partition` with a slash.
        ax: the axes whose place the two panels take; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: the history is not of a transformation with a clip; `max_norm` is
            not above 0, or does not fit what was clipped.
        TypeError: the history is of another form.
        ImportError: Matplotlib is not installed.
    """
    read = read_history("clipped", history)
    if f"{prefix}clipped" not in read.values or f"{prefix}grad_norm" not in read.values:
        raise errors.AdamxError(
            f"clipped: `history` must have the keys '{prefix}grad_norm' and "
            f"'{prefix}clipped', got {errors.listed(read.values)}. They are there if "
            f"adamx.observe is around a chain with a clip."
        )
    steps, before, share = read.over_steps("grad_norm", "clipped", prefix=prefix)
    limit = _limit(read, steps, before, share, max_norm, prefix)
    if f"{prefix}clipped_norm" in read.values:
        after = read.over_steps("clipped_norm", prefix=prefix)[1]
    else:
        after = None if limit is None else np.minimum(before, limit)
    ax = axes_of("clipped", ax, (8, 5))
    above, below = divided("clipped", ax, 2, heights=(2.2, 1))
    _norms(above, steps, before, after, limit)
    _shares(below, steps, before, after, share)
    return figure_of(ax)


def _limit(
    read: History, steps: Any, before: Any, share: Any, max_norm: Any, prefix: str
) -> np.ndarray | None:
    """Return the thresholds of the clip at the steps, None if they are not known."""
    if max_norm is None:
        places = (prefix, "", "clip/")
        own = next((p for p in places if f"{p}max_norm" in read.values), None)
        if own is None:
            return None
        limit = read.over_steps("max_norm", prefix=own)[1]
    else:
        allowed = errors.Interval(0, np.inf, "()", "It is the threshold of the clip.")
        errors.check_number("clipped", "max_norm", errors.as_float(max_norm), allowed)
        limit = np.full(len(steps), float(max_norm))
    over = before > limit * (1 + NEAR)
    under = before < limit * (1 - NEAR)
    wrong = np.flatnonzero((over & (share == 0)) | (under & (share > 0)))
    if len(wrong):
        i = wrong[0]
        raise errors.AdamxError(
            f"clipped: `max_norm` must be that of ClipByGlobalNorm in front of the "
            f"optimizer, got {limit[i]:g}: at step {steps[i]:g} the gradient's norm is "
            f"{before[i]:.4g}, and {100 * share[i]:.3g} % of the elements were "
            f"clipped. For another clip leave it out."
        )
    return limit


def _norms(ax: Any, steps: Any, before: Any, after: Any, limit: Any) -> None:
    positive = (before > 0).any()
    known = after is not None
    title = (
        "The gradient's norm before and after the clip"
        if known
        else "The gradient's norm before the clip (after it: not known)"
    )
    tidy(ax, title, y="norm of the gradient\n(units of g)", log="y" if positive else "")
    ends = [("before", steps, before, COLOURS[3])]
    line(ax, steps, before, look(3) | {"label": "before"})
    if known:
        line(ax, steps, after, look(0) | {"label": "after"})
        fill = {"facecolor": COLOURS[3], "alpha": 0.25, "lw": 0, "hatch": "///"}
        ax.fill_between(steps, after, before, **fill)
        ends.append(("after", steps, after, COLOURS[0]))
    if limit is not None:
        ax.plot(steps, limit, color=AXIS, lw=1, ls=(0, (1, 2)), label="max_norm")
        ends.append(("max_norm", steps, limit, AXIS))
    ax.margins(x=0.01)
    name_lines(ax, ends)


def _dots(place: int, label: str) -> dict[str, Any]:
    return look(place) | {"linestyle": "", "label": label}


def _shares(ax: Any, steps: Any, before: Any, after: Any, share: Any) -> None:
    times = int((share > 0).sum())
    title = f"Clipped at {times:,} of {len(steps):,} sampled steps"
    tidy(ax, title, x="step", y="changed (%)" if after is None else "cut (%)")
    ends = []
    partial = ((share > 0) & (share < 1)).any()
    if after is not None:
        cut = 100 * (1 - after / np.where(before > 0, before, 1))
        cut = np.where(before > 0, cut, 0)
        ax.vlines(steps, 0, cut, color=COLOURS[3], alpha=0.5, lw=1.5)
        seen = np.where(cut > 0, cut, np.nan)
        line(ax, steps, seen, _dots(3, "of the norm"), marks=len(cut))
        ends.append(("of the norm", steps, cut, COLOURS[3]))
    if after is None or partial:
        ax.vlines(steps, 0, 100 * share, color=COLOURS[2], alpha=0.5, lw=1.5)
        changed = np.where(share > 0, 100 * share, np.nan)
        line(ax, steps, changed, _dots(2, "of the elements"), marks=len(changed))
        ends.append(("of the elements", steps, 100 * share, COLOURS[2]))
    ax.set_ylim(0, 105)
    ax.margins(x=0.01)
    name_lines(ax, ends)
    ax.axhline(0, color=AXIS, lw=0.6)
