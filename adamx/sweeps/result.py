"""The result of a sweep: one row for each run, and what is read off it."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import errors, html
from . import picture

SEED, DIVERGED = "seed", "diverged"
SHOWN = 5  # points in the text and the table


def _finite(values: np.ndarray) -> np.ndarray:
    """Return for each run whether all of its numbers are finite."""
    if not len(values) or values.dtype.kind in "iub":
        return np.ones(len(values), bool)
    wide = values if values.dtype.kind == "c" else values.astype(np.float64)
    return np.isfinite(wide).reshape(len(values), -1).all(1)


def _rose(curves: np.ndarray, factor: float) -> np.ndarray:
    """Return for each curve whether it ends above `factor` times its first value."""
    first, last = (curves[:, i].astype(np.float64) for i in (0, -1))
    # A multiple of a number below 0 is no bound: its distance from 0 counts.
    return last > first + (factor - 1) * np.abs(first)


class Sweep(Mapping[str, np.ndarray]):
    """Arrays by name, with one row for each run: a table.

    The columns are the hyperparameters, `seed`, what `train` returned, and `diverged`:
    whether anything that the run returned is NaN or infinite, or one of its curves ends
    too far above its start by `divergence`. A finite loss that ends high is otherwise
    no divergence.

    Attributes:
        hyperparameters: the names of the hyperparameters.
        outcomes: the names of what `train` returned.
        seeds: how many seeds each point has.
        divergence: the factors by the names of curves above which a run counts as
            diverged; empty if only numbers that are not finite count.
        width: how many runs were trained at once.
        bytes: what the program of them needs, as its compiler says; 0 if it does
            not.
        max_bytes: the budget; None for no limit.
        compile_seconds: the seconds in which programs were traced and compiled.
        compilations: how many programs were compiled, above 1 if the budget bound.
        run_seconds: the seconds in which they ran.
    """

    def __init__(
        self,
        points: Mapping[str, np.ndarray],
        seed: np.ndarray,
        outcomes: Mapping[str, np.ndarray],
        *,
        product: bool,
        divergence: Mapping[str, float],
        width: int,
        bytes: int,
        max_bytes: int | None,
        compile_seconds: float,
        compilations: int,
        run_seconds: float,
    ):
        self.hyperparameters = tuple(points)
        self.outcomes = tuple(outcomes)
        self.product = product
        self.divergence = dict(divergence)
        self.width = width
        self.bytes = bytes
        self.max_bytes = max_bytes
        self.compile_seconds = compile_seconds
        self.compilations = compilations
        self.run_seconds = run_seconds
        self.seeds = len(np.unique(seed))
        finite = np.all([_finite(x) for x in outcomes.values()], axis=0)
        lost = ~finite
        for name, factor in divergence.items():
            lost |= _rose(outcomes[name], factor)
        self._columns = {**points, SEED: seed, **outcomes, DIVERGED: lost}

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(
                f"Sweep: there is no column {name!r}. "
                f"{errors.suggest(name, self._columns)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self[SEED])

    def points(self) -> dict[str, np.ndarray]:
        """Return the hyperparameters with one row for each point, without seeds."""
        return {name: self[name][:: self.seeds] for name in self.hyperparameters}

    def at_end(self, metric: str | None = None) -> np.ndarray:
        """Return a metric at the end of each run, shape (points, seeds).

        Args:
            metric: what `train` returned, by name; may be left out if that is one
                array. A curve counts with its last value.

        Raises:
            ValueError: a metric that `train` did not return, or of more dimensions.
        """
        metric = self._metric(metric)
        found = self[metric]
        if found.ndim > 2 or found.dtype.kind == "c":
            raise errors.AdamxError(
                f"Sweep: {metric!r} must be a real number or a curve of each run, got "
                f"shape {found.shape[1:]} and dtype {found.dtype}. Return a number."
            )
        last = found[:, -1] if found.ndim == 2 else found
        return last.astype(np.float64).reshape(-1, self.seeds)

    def scores(
        self, metric: str | None = None, *, mode: str = "min", over: str = "median"
    ) -> np.ndarray:
        """Return one number for each point; runs that diverged count as the worst.

        Args:
            metric: what `train` returned, by name; a curve counts with its last value.
            mode: "min" if small values are good, or "max".
            over: "median" or "mean" of the seeds.

        Returns:
            Shape (points,); infinite where the worst decides.

        Raises:
            ValueError: another `mode` or `over`, or a metric that is not there.
        """
        for name, given, known in (
            ("mode", mode, ("min", "max")),
            ("over", over, ("median", "mean")),
        ):
            if given not in known:
                raise errors.AdamxError(
                    f"Sweep: `{name}` must be {known[0]!r} or {known[1]!r}, got "
                    f"{given!r}."
                )
        values = self.at_end(metric)
        lost = self[DIVERGED].reshape(values.shape) | ~np.isfinite(values)
        worst = np.inf if mode == "min" else -np.inf
        values = np.where(lost, worst, values)
        if over == "mean":
            return values.mean(1)
        # The middle of an even number of seeds is worst if one of the two is.
        ordered = np.sort(values, 1)
        low, high = (self.seeds - 1) // 2, self.seeds // 2
        return (ordered[:, low] + ordered[:, high]) / 2

    def best(
        self, metric: str | None = None, *, mode: str = "min", over: str = "median"
    ) -> dict[str, float]:
        """Return the hyperparameters of the best point.

        Args:
            metric: what is compared; may be left out if `train` returns one array.
            mode: "min" if small values are good, or "max".
            over: "median" or "mean" of the seeds, where a run that diverged is worse
                than any other.

        Raises:
            ValueError: every point diverged, or an argument is not one of those.
        """
        scores = self.scores(metric, mode=mode, over=over)
        place = int(scores.argmin() if mode == "min" else scores.argmax())
        if not np.isfinite(scores[place]):
            raise errors.AdamxError(
                f"Sweep: at least one point must not have diverged, but by the {over} "
                f"of the seeds all {len(scores)} did. Try smaller learning rates."
            )
        return {name: float(x[place]) for name, x in self.points().items()}

    def to_pandas(self, curve: str | None = None) -> Any:
        """Return a `pandas.DataFrame`.

        Args:
            curve: None: one row for each run, where a curve is one cell with an array.
                The name of a curve: one row for each run and step, with the column
                `step`, 0 for the first, and the columns of single numbers.

        Raises:
            ImportError: pandas is not installed.
            ValueError: `curve` is no curve.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise ImportError(
                "Sweep.to_pandas: needs pandas, which is not installed; install it "
                "with pip install pandas. The sweep itself is a dict of arrays."
            ) from None
        if curve is None:
            return pandas.DataFrame(
                {name: x if x.ndim == 1 else list(x) for name, x in self.items()}
            )
        found = self[self._metric(curve)]
        if found.ndim != 2:
            raise errors.AdamxError(
                f"Sweep: {curve!r} must be a curve of each run, got shape "
                f"{found.shape[1:]}. Call to_pandas() without it."
            )
        steps = found.shape[1]
        single = {name: np.repeat(x, steps) for name, x in self.items() if x.ndim == 1}
        step = np.tile(np.arange(steps), self.runs)
        return pandas.DataFrame({**single, "step": step, curve: found.ravel()})

    def plot(
        self,
        metric: str | None = None,
        *,
        x: str | None = None,
        y: str | None = None,
        mode: str = "min",
        ax: Any = None,
    ) -> Any:
        """Draw a metric over one hyperparameter, or over two as a map.

        Over one: the median of the seeds, and a band from the lowest to the highest.
        There, runs that diverged are crosses. Over two: `adamx.plotting.heat_map` of
        the medians, with how many of the seeds diverged where not all did; points that
        are not all combinations of the values are dots.

        Args:
            metric: what is drawn; may be left out if `train` returns one array. A curve
                counts with its last value.
            x, y: the hyperparameters; those that have more than one value, if they are
                one or two. Of the others, the best value is taken at each place.
            mode: "min" if small values are good, or "max".
            ax: axes of Matplotlib; None for a new figure.

        Returns:
            The figure.

        Raises:
            ValueError: more than two hyperparameters vary, and no `x` is given.
            ImportError: Matplotlib is not installed.
        """
        return picture.draw(self, self._metric(metric), x, y, mode, ax)

    def _metric(self, metric: str | None) -> str:
        if metric is None and len(self.outcomes) == 1:
            return self.outcomes[0]
        if metric not in self.outcomes:
            raise errors.AdamxError(
                f"Sweep: `metric` must be one that `train` returned, got {metric!r}. "
                f"{errors.suggest(metric or '', self.outcomes)}"
            )
        return metric

    def _says(self) -> str:
        lost = int(self[DIVERGED].sum())
        points = self.runs // self.seeds
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        parts = "all" if self.width == self.runs else f"{self.width}"
        programs = "" if self.compilations == 1 else f"{self.compilations} programs "
        size = f" ({html.size(self.bytes)})" if self.bytes else ""
        return (
            f"{points} points × {seeds}, {parts} at once{size}; {lost} of {self.runs} "
            f"runs diverged; compiled {programs}in {self.compile_seconds:.1f} s, ran "
            f"in {self.run_seconds:.1f} s"
        )

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n}{list(self[n].shape[1:])}" for n in self.outcomes)
        names = ", ".join(self.hyperparameters)
        return f"<Sweep of {names}: {self._says()}; columns: {shapes}>"

    def _repr_html_(self) -> str:
        simple = [n for n in self.outcomes if self[n].ndim < 3]
        simple = [n for n in simple if self[n].dtype.kind != "c"]
        lost = self[DIVERGED].reshape(-1, self.seeds).sum(1)
        shown = {name: self.scores(name) for name in simple}
        count = min(len(lost), 2 * SHOWN)
        places = np.unique(np.linspace(0, len(lost) - 1, count).round().astype(int))
        rows = [
            [
                *(f"{x[i]:.4g}" for x in self.points().values()),
                *(
                    f"{x[i]:.4g}" if np.isfinite(x[i]) else "diverged"
                    for x in shown.values()
                ),
                f"{lost[i]} of {self.seeds}",
            ]
            for i in places
        ]
        head = [*self.hyperparameters, *simple, "diverged"]
        more = len(lost) - len(places)
        foot = "Median of the seeds; of a curve, its last value."
        if more:
            foot += f" {more} points are not shown, evenly spaced."
        return html.table(
            head, rows, right=range(len(head)), caption=self._says(), foot=foot
        )
