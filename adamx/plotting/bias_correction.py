"""What bias correction does in the first steps."""

from typing import Any

import numpy as np

from .. import errors
from .lines import curves
from .style import AXIS, axes_of, divided, figure_of, tidy


def bias_correction(
    b1: float = 0.9, b2: float = 0.999, steps: int = 1000, *, ax: Any = None
) -> Any:
    """Draw what the bias correction of Adam does, for gradients that are always 1.

    From the top, over the steps t: the factors 1 / (1 - b1ᵗ) and 1 / (1 - b2ᵗ) of the
    two averages; the averages, which start at 0 and should be 1, as they are with the
    factors; and the length of the step m / sqrt(v) with and without them. Corrected,
    it is one learning rate.

    Args:
        b1, b2: the decays of m and v, at least 0 and below 1.
        steps: the number of steps, at least 2.
        ax: the axes whose place the three panels take; None for a new figure.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: a decay or a number of steps out of range.
        ImportError: Matplotlib is not installed.
    """
    where = "bias_correction"
    for name, value in (("b1", b1), ("b2", b2)):
        allowed = errors.Interval(0, 1, "[)", "It is the decay of an average.")
        errors.check_number(where, name, value, allowed)
    if not (isinstance(steps, int) and steps >= 2):
        raise errors.AdamxError(
            f"{where}: `steps` must be an integer of at least 2, got "
            f"{errors.shown(steps)}. 1000 is the memory of b2 = 0.999."
        )
    t = np.arange(1, steps + 1)
    m, v = (_weight(decay, t) for decay in (b1, b2))
    ax = axes_of(where, ax, (7.5, 7.5))
    top, middle, bottom = divided(where, ax, 3)
    tidy(top, "The factors of the correction", y="factor (no unit)", log="xy")
    curves(top, {f"1 / (1 - {b1:g}ᵗ)": 1 / m, f"1 / (1 - {b2:g}ᵗ)": 1 / v}, t, marks=0)
    tidy(middle, "The averages of gradients that are 1", log="x")
    middle.set_ylabel("m in g, v in g²")
    averages = {f"m, b1 = {b1:g}": m, f"v, b2 = {b2:g}": v, "corrected": np.ones(steps)}
    curves(middle, averages, t, marks=6)
    tidy(bottom, "The length of the step", x="step", y="in learning rates", log="x")
    lengths = {"corrected": np.ones(steps), "not corrected": m / np.sqrt(v)}
    curves(bottom, lengths, t, marks=0)
    bottom.axhline(1, color=AXIS, lw=0.6, zorder=1)
    return figure_of(ax)


def _weight(decay: float, t: np.ndarray) -> np.ndarray:
    """Return 1 - decayᵗ, without cancellation."""
    if decay == 0:
        return np.ones(len(t))
    return -np.expm1(t * np.log(decay))
