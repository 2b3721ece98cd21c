"""The range test of learning rates: one short training whose rate grows."""

import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import errors, plotting
from ..plotting.style import axes_of
from .factory import check_traceable, factory

RATE = "learning_rate"


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The losses of a training whose learning rate grew at each step.

    Attributes:
        rates: the learning rate of each step, shape (steps,).
        losses: the loss before the step at that rate.
        smoothed: its exponential average, bias-corrected.
        stop: how many steps count: up to the one before the loss was not finite, or
            its average above `divergence` times its lowest so far.
        steepest: the rate at which the average falls fastest over the log of the rate.
        tenth: a tenth of the rate at which it is lowest.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    stop: int
    steepest: float
    tenth: float

    @property
    def diverged(self) -> bool:
        """Whether the loss diverged before the last step."""
        return self.stop < len(self.rates)

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the averaged loss is lowest."""
        return self.tenth

    def __repr__(self) -> str:
        end = "did not diverge"
        if self.diverged:
            end = f"diverged at {self.rates[self.stop]:.2g}"
        return (
            f"<RangeTest of {len(self.rates)} rates from {self.rates[0]:.2g} to "
            f"{self.rates[-1]:.2g}: suggestion {self.suggestion:.2g}, steepest at "
            f"{self.steepest:.2g}, {end}>"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the averaged loss over the rate, with both rates; return the figure.

        Args:
            ax: axes of Matplotlib; None for a new figure.
        """
        ax = axes_of("RangeTest.plot", ax, (7, 4))
        plotting.tidy(ax, "Range test", x="learning rate", y="loss", log="x")
        kept = slice(self.stop)
        faint = {"color": plotting.AXIS, "lw": 0.8, "alpha": 0.6}
        ax.plot(self.rates[kept], self.losses[kept], **faint)
        style = {**plotting.look(0), "marker": ""}
        plotting.line(ax, self.rates[kept], self.smoothed[kept], style, marks=0)
        for place, (name, rate) in enumerate(
            (("minimum / 10", self.tenth), ("steepest", self.steepest))
        ):
            colour = plotting.darker(plotting.COLOURS[2 + place])
            ax.axvline(rate, color=colour, lw=1.2, ls=(0, (4, 2)))
            where = {"transform": ax.get_xaxis_transform(), "rotation": 90}
            text = f" {name}: {rate:.2g}"
            ax.text(rate, 0.98, text, color=colour, ha="right", va="top", **where)
        if self.diverged:
            at = self.rates[self.stop]
            ax.axvspan(at, self.rates[-1], color=plotting.COLOURS[3], alpha=0.12, lw=0)
            where = {"transform": ax.get_xaxis_transform(), "va": "bottom"}
            colour = plotting.darker(plotting.COLOURS[3])
            ax.text(at, 0.02, " diverged", color=colour, **where)
        ax.set_xlim(self.rates[0], self.rates[-1])
        return ax.figure


def find_rate(
    loss: Callable[..., Any],
    tx: Any,
    params: Any,
    batches: Any = None,
    *,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    divergence: float = 4.0,
) -> RangeTest:
    """Train while the learning rate grows, and suggest a rate from the losses.

    The range test of Smith (2017, arXiv:1506.01186), with a rate that grows
    exponentially, and the rules of fastai's `lr_find`: the loss is averaged, the test
    ends where the average is `divergence` times its lowest, and a rate is a tenth of
    that of the lowest loss, or where the loss falls fastest. It is one compiled scan.
    A sweep costs more and is more reliable: a rate of the test is a start for it.

        found = adamx.find_rate(loss, adamx.adamw, params, batches)
        found.suggestion
        found.plot()

    Args:
        loss: a function of the parameters and a batch, or of the parameters alone if
            there are no batches, that returns one number.
        tx: a function of `learning_rate` that returns the optimizer, such as
            `adamx.adamw`, or a transformation of adamx.
        params: the parameters to start from; they stay as they are.
        batches: a tree of arrays whose first axis counts the batches. Step i takes
            batch i, from the first one again after the last.
        low, high: the first and the last rate; 0 < low < high.
        steps: how many steps, at least 10.
        smoothing: decay of the average of the losses, in [0, 1).
        divergence: above 1.

    Returns:
        A `RangeTest`.

    Raises:
        ValueError: an argument out of its range; a loss that is not finite at once.
        TypeError: `tx` is neither a function nor a transformation of adamx.
    """
    where = "find_rate"
    errors.check_number(where, "low", low, errors.Interval.parse("(0, inf)"))
    above = errors.Interval(low, float("inf"), "()", "That is `low`.")
    errors.check_number(where, "high", high, above)
    smooth = errors.Interval.parse("[0, 1)")
    errors.check_number(where, "smoothing", smoothing, smooth)
    more = errors.Interval.parse("(1, inf)")
    errors.check_number(where, "divergence", divergence, more)
    steps = operator.index(steps)
    errors.check_number(where, "steps", steps, errors.Interval.parse("[10, inf)"))
    counts = {x.shape[0] if jnp.ndim(x) else 0 for x in jax.tree.leaves(batches)}
    if len(counts) > 1 or 0 in counts:
        raise errors.AdamxError(
            f"find_rate: the arrays of `batches` must have one first axis in common, "
            f"of at least one batch, got lengths {sorted(counts)}. Stack the batches."
        )
    make = factory(where, tx, (RATE,))
    for rate in (low, high):
        make(**{RATE: float(rate)})
    check_traceable(where, make, {RATE: float(low)})
    count = next(iter(counts), 0)
    rates = np.geomspace(low, high, steps)

    def step(carry: Any, at: Any) -> Any:
        theta, state = carry
        rate, place = at
        given = () if not count else (jax.tree.map(lambda x: x[place], data),)
        value, grads = jax.value_and_grad(loss)(theta, *given)
        updates, state = make(**{RATE: rate}).update(grads, state, theta)
        return (optax.apply_updates(theta, updates), state), value

    data = jax.tree.map(jnp.asarray, batches)

    @jax.jit
    def run(theta: Any, grown: Any) -> Any:
        state = make(**{RATE: grown[0]}).init(theta)
        place = jnp.arange(steps) % max(count, 1)
        return jax.lax.scan(step, (theta, state), (grown, place))[1]

    losses = np.asarray(run(params, jnp.asarray(rates, jnp.result_type(float))))
    return _read(rates, losses.astype(np.float64), smoothing, divergence)


def _read(
    rates: np.ndarray, losses: np.ndarray, smoothing: float, divergence: float
) -> RangeTest:
    if not np.isfinite(losses[0]):
        raise errors.AdamxError(
            f"find_rate: the loss must be finite at the start, got {losses[0]}. Look "
            f"at `params` and the first batch."
        )
    smoothed, average, lowest = np.full_like(losses, np.nan), 0.0, np.inf
    stop = len(losses)
    for i, value in enumerate(losses):
        average = smoothing * average + (1 - smoothing) * value
        now = average / (1 - smoothing ** (i + 1))
        # `divergence` times a loss below 0 is no bound: its distance from 0 counts.
        bound = lowest + (divergence - 1) * abs(lowest)
        if not np.isfinite(now) or (i and now > bound):
            stop = i
            break
        smoothed[i], lowest = now, min(lowest, now)
    if stop < 3:
        raise errors.AdamxError(
            f"find_rate: the loss must not diverge at `low`, but it did after {stop} "
            f"steps at {rates[stop - 1]:.2g}. Pass a smaller `low`."
        )
    kept = smoothed[:stop]
    slope = np.gradient(kept, np.log(rates[:stop]))
    steepest = float(rates[slope.argmin()])
    tenth = float(rates[kept.argmin()]) / 10
    return RangeTest(rates, losses, smoothed, stop, steepest, tenth)
