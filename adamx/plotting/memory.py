"""The memory plan of an optimizer as bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import errors
from ..storage.plan import MemoryPlan
from .style import INK, axes_of, figure_of, shades, tidy

MOST_BARS, MOST_PIECES = 20, 6
OTHERS = "others"
LEGEND = 80
"""How many characters a line of the legend has room for."""
UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("bytes", 1))


def memory(
    plan: Any, *, by: str = "leaf", unit: str | None = None, ax: Any = None
) -> Any:
    """Draw the memory that an optimizer's state takes, as bars with their totals.

        adamx.plotting.memory(adamx.memory_plan(tx, params))
        adamx.plotting.memory({"float32": one_plan, "8 bits": another})

    Of one plan there is a bar for each leaf, divided by slots; of several, one for each
    plan. More than 20 bars, or 6 pieces of each, are summed up as "others", with their
    number.

    Args:
        plan: a `MemoryPlan`, or several in a dict by the name to write.
        by: of one plan, "leaf" for a bar for each leaf divided by slots, or "slot" for
            a bar for each slot divided by leaves.
        unit: "bytes", "KiB", "MiB" or "GiB"; None for the one that fits the largest
            bar.
        ax: the axes to draw on; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: another `by` or `unit`, or no plans.
        TypeError: `plan` is no memory plan.
        ImportError: Matplotlib is not installed.
    """
    pieces, title = _pieces(plan, by)
    table = _table(pieces)
    bars = list(dict.fromkeys(bar for bar, _ in table))
    kinds = sorted(dict.fromkeys(kind for _, kind in table), key=_is_rest)
    sizes = np.array([[table.get((bar, kind), 0) for kind in kinds] for bar in bars])
    totals = sizes.sum(1)
    asked = unit is not None
    unit, scale = _unit(unit, int(totals.max(initial=0)))
    ax = axes_of("memory", ax, (8, 1.7 + 0.32 * len(bars)))
    tidy(ax, title, x=f"state of the optimizer ({unit})")
    ax.grid(axis="y", visible=False)
    left = np.zeros(len(bars))
    edge = {"edgecolor": "white", "linewidth": 1.0, "height": 0.72}
    for kind, size, shade in zip(kinds, sizes.T, shades(len(kinds)), strict=True):
        ax.barh(
            range(len(bars)), size / scale, left=left, color=shade, label=kind, **edge
        )
        left = left + size / scale
    for row, total in enumerate(totals):
        given = f"{total / scale:,.4g} {unit}" if asked else _said(int(total))
        text = f" {given}"
        ax.text(left[row], row, text, va="center", color=INK, fontsize=9)
    ax.set_yticks(range(len(bars)), bars)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.set_xlim(0, 1.18 * max(left.max(initial=0), 1e-9))
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "frameon": False}
    ncols = max(1, min(len(kinds), LEGEND // (8 + max(map(len, kinds), default=0))))
    pad = 10 + 16 * -(-len(kinds) // ncols)
    ax.set_title(title, loc="left", pad=pad, color=INK, fontweight="bold", fontsize=11)
    ax.legend(ncols=ncols, labelcolor=INK, fontsize=9, **above)
    return figure_of(ax)


def _pieces(plan: Any, by: str) -> tuple[list[tuple[str, str, int]], str]:
    """Return the bar, the kind and the bytes of each piece, and the title."""
    if by not in ("leaf", "slot"):
        raise errors.AdamxError(
            f"memory: `by` must be 'leaf' or 'slot', got {errors.shown(by)}. It says "
            f"what each bar is."
        )
    plans = plan if isinstance(plan, Mapping) else {"": plan}
    if not plans:
        raise errors.AdamxError(
            "memory: `plan` must have a plan, got an empty dict. Pass for example "
            '{"float32": adamx.memory_plan(tx, params)}.'
        )
    for one in plans.values():
        if not isinstance(one, MemoryPlan):
            raise errors.type_error(
                "memory",
                "`plan` must be what adamx.memory_plan returned",
                errors.shown(one),
                "Pass adamx.memory_plan(tx, params), or several in a dict.",
            )
    found = []
    for name, one in plans.items():
        for row in one.rows:
            slot = row.slot or row.part
            own = {"leaf": (row.leaf, slot), "slot": (slot, row.leaf)}[by]
            found.append((str(name), slot, row.bytes) if name else (*own, row.bytes))
        if one.shared > VISIBLE * one.bytes:
            found.append((str(name) or SHARED, SHARED, one.shared))
    if "" in plans:
        one = plans[""]
        each = f"{one.bytes_per_parameter:.4g} bytes each"
        title = f"{_said(one.bytes)} for {one.parameters:,} parameters, {each}"
    else:
        title = "The state by slots"
    return found, title


VISIBLE = 1e-4
"""Shared numbers below this part of the state have no piece; the totals lose nothing
that their four digits show."""
SHARED = "shared"
"""The piece of counts and other numbers that belong to no leaf."""


def _table(pieces: list[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """Return the bytes by bar and kind, with few bars and kinds: the rest summed up."""
    bars = _kept([(bar, size) for bar, _, size in pieces], MOST_BARS)
    kinds = _kept([(kind, size) for _, kind, size in pieces], MOST_PIECES)
    found: dict[tuple[str, str], int] = {}
    for bar, kind, size in pieces:
        place = bars[bar], kinds[kind]
        found[place] = found.get(place, 0) + size
    return dict(sorted(found.items(), key=lambda x: _is_rest(x[0][0])))


def _is_rest(name: str) -> bool:
    return name == SHARED or name.startswith(OTHERS)


def _kept(sizes: list[tuple[str, int]], most: int) -> dict[str, str]:
    """Return for each name itself, or the name of the rest if there are too many."""
    totals: dict[str, int] = {}
    for name, size in sizes:
        totals[name] = totals.get(name, 0) + size
    if len(totals) <= most:
        return {name: name for name in totals}
    large = sorted(totals, key=lambda name: -totals[name])[: most - 1]
    rest = f"{OTHERS} ({len(totals) - len(large)})"
    return {name: name if name in large else rest for name in totals}


def _unit(unit: str | None, largest: int) -> tuple[str, int]:
    known = dict(UNITS)
    if unit is None:
        unit = next(name for name, size in UNITS if largest >= size or size == 1)
    if unit not in known:
        raise errors.AdamxError(
            f"memory: `unit` must be the name of a unit, got {errors.shown(unit)}. "
            f"{errors.suggest(str(unit), known)}"
        )
    return unit, known[unit]


def _said(size: int) -> str:
    unit, scale = _unit(None, size)
    return f"{size / scale:,.4g} {unit}"
