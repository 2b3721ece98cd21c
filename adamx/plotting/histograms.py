"""Histograms of the slots of a state, and of the codes of compressed ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import errors
from ..engine.nested import check_readable, find_states
from ..engine.paths import leaves_by_path
from ..engine.slot_trees import FORM, column_of
from ..engine.state import State
from ..interop.state_slots import slots as decoded
from ..storage.blockwise import Blockwise, unpacked
from ..storage.codec import Codec
from ..storage.forms import codec_of
from .style import AXIS, COLOURS, INK, axes_of, divided, figure_of, tidy

BINS = 60


class _Codes(NamedTuple):
    """The integers of a compressed slot.

    Attributes:
        bits: 8 or 4.
        lowest: the lowest integer that the codec uses, below 0 for a signed slot.
        counts: how often each integer occurs, from the lowest on.
    """

    bits: int
    lowest: int
    counts: np.ndarray


def histograms(
    state: Any, params: Any, *, slots: Sequence[str] | None = None, ax: Any = None
) -> Any:
    """Draw how large the elements of each slot are, and how often each code is used.

        adamx.plotting.histograms(state, params, slots=["mu", "nu"])

    A panel is over all elements of all leaves, by the powers of ten of their sizes. Of
    a slot with both signs the positive elements go up, and the negative ones down.
    Zeros and numbers that are not finite have no place there; the title says how many
    there are. A slot that `adamx.storage.Blockwise` keeps has a second panel: the share
    of each of its 256 or 16 codes, and how many are used.

    Args:
        state: a state in which adamx states are, in any nesting.
        params: the parameters that it belongs to.
        slots: the names of the slots; None for all that have an array for each leaf.
        ax: the axes whose place the panels take; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: a slot that is not there, or no slots.
        TypeError: `state` holds no state of adamx.
        ImportError: Matplotlib is not installed.
    """
    where = "histograms"
    check_readable(where, state, (State,))
    states = find_states(state, State)
    names = _names(states) if slots is None else list(slots)
    if not names:
        raise errors.AdamxError(
            f"{where}: `state` must have slots, got one without. Pass the state of an "
            f"optimizer that has moments, such as adam."
        )
    trees = {name: decoded(state, name, params) for name in names}
    rows = [
        (name, _values(tree), _codes(states, name, params))
        for name, tree in trees.items()
    ]
    columns = 2 if any(codes is not None for _, _, codes in rows) else 1
    ax = axes_of(where, ax, (4.8 * columns + 1.5, 2.5 * len(rows) + 0.3))
    panels = iter(divided(where, ax, len(rows), columns))
    for name, values, codes in rows:
        _sizes(next(panels), name, values)
        if columns == 2:
            _used(next(panels), name, codes)
    return figure_of(ax)


def _names(states: list[State]) -> list[str]:
    found = {
        name: None
        for one in states
        for name, kept in one.slots.items()
        if not (hasattr(kept, "ndim") and kept.ndim == 0)
    }
    return list(found)


def _values(tree: Any) -> np.ndarray:
    leaves = [np.ravel(x) for x in jax.device_get(jax.tree.leaves(tree))]
    return np.concatenate([*leaves, np.zeros(0)]).astype(np.float64)


def _sizes(ax: Any, name: str, values: np.ndarray) -> None:
    """Draw the histogram of log10 of the sizes."""
    finite = values[np.isfinite(values)]
    sizes = np.log10(np.abs(finite[finite != 0]))
    signs = finite[finite != 0] > 0
    said = [f"{name}, {len(values):,} elements"]
    for count, what in (
        (int((finite == 0).sum()), "zero"),
        (len(values) - len(finite), "not finite"),
    ):
        said += [f"{_percent(count / len(values))} {what}"] if count else []
    tidy(ax, ", ".join(said), x=f"log10 of |{name}|", y="elements (%)")
    if not len(sizes):
        ax.text(0.5, 0.5, "nothing to draw", transform=ax.transAxes, ha="center")
        return
    low, high = np.floor(sizes.min()), np.ceil(sizes.max())
    edges = np.linspace(low, max(high, low + 1), BINS + 1)
    scale = 100 / len(values)
    for chosen, sign, place, sided in (
        (signs, 1, 0, "positive"),
        (~signs, -1, 1, "negative"),
    ):
        if not chosen.any():
            continue
        counts = np.histogram(sizes[chosen], edges)[0] * scale * sign
        look = {"facecolor": COLOURS[3 * place], "edgecolor": "white", "linewidth": 0.3}
        look |= {"hatch": "////"} if sign < 0 else {}
        ax.bar(edges[:-1], counts, np.diff(edges), align="edge", label=sided, **look)
    if not signs.all():
        ax.axhline(0, color=AXIS, lw=0.8)
        ax.margins(y=0.12)
        for height, sided in ((0.97, "positive"), (0.03, "negative")):
            va = "top" if height > 0.5 else "bottom"
            ax.text(0.02, height, sided, transform=ax.transAxes, va=va, color=INK)
        ax.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "below 0.1 %"


def _used(ax: Any, name: str, codes: _Codes | None) -> None:
    if codes is None:
        ax.set_axis_off()
        ax.text(0, 0.5, f"{name} has no codes", transform=ax.transAxes, color=INK)
        return
    used, there = int((codes.counts > 0).sum()), 2**codes.bits
    title = f"codes of {name}, {codes.bits} bits: {used} of {there} used"
    tidy(ax, title, x="code", y="elements (%)")
    at = codes.lowest + np.arange(len(codes.counts))
    shares = 100 * codes.counts / max(codes.counts.sum(), 1)
    ax.bar(at, shares, 1.0, facecolor=COLOURS[0], edgecolor="white", linewidth=0.2)
    ax.set_xlim(at[0] - 1, at[-1] + 1)


# ---- the codes -----------------------------------------------------------------------


def _codes(states: list[State], name: str, params: Any) -> _Codes | None:
    """Return the codes of a slot in all leaves that have some, None if none has."""
    found: _Codes | None = None
    for one in states:
        kept = one.slots.get(name)
        codec = _codec(kept)
        if not isinstance(codec, Blockwise):
            continue
        lowest = -codec._top if codec.signed else 0
        counts = np.zeros(codec._top - lowest + 1)
        for row in _rows(codec, kept, params):
            counts += np.bincount(row - lowest, minlength=len(counts))
        found = _Codes(codec.bits, lowest, counts)
    return found


def _codec(kept: Any) -> Codec | None:
    form = kept.get(FORM) if isinstance(kept, Mapping) else None
    return codec_of(next(iter(form))) if isinstance(form, Mapping) and form else None


def _rows(codec: Blockwise, kept: Any, params: Any) -> Iterator[np.ndarray]:
    """Yield the integers of each leaf, as the codec counts them."""
    columns = [column_of(kept[part], params) for part in ("codes", "scale")]
    for (_, p), codes, scale in zip(leaves_by_path(params), *columns, strict=True):
        if p is None or not hasattr(codes, "dtype"):
            continue
        if np.issubdtype(codes.dtype, np.floating):  # a small leaf, kept as it is
            continue
        if codec.bits == 4:
            here = codec.as_kept({"scale": scale}, p.shape)
            codes = unpacked(here.layout_of(p.shape), codes)
        row = np.asarray(jax.device_get(codes)).ravel().astype(np.int64)
        yield row - codec._top if codec.bits == 4 and codec.signed else row
