"""Trains several optimizers on one problem, each at the best rate of a search.

The search has its own seeds. Its score is the mean training loss of the last fifth of
the steps, over the seeds; a rate at which a seed diverges is out. A best rate at the
end of the grid is marked, for a better one may lie beyond.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.training.paper.entries import Entry
from benchmarks.training.paper.problem import Problem
from benchmarks.training.paper.training import Runs, train

SEARCH_SEEDS = (101, 102)
POINTS = 60  # of a curve
SEARCH_POINTS = 20
Progress = Callable[[str], None]


class Budget(NamedTuple):
    """Steps of the search and of the runs that count; how many seeds and rates."""

    search: int
    steps: int
    seeds: int = 5
    rates: int = 6
    search_seeds: int = 2


def score(runs: Runs) -> np.ndarray:
    """(points, seeds): the mean loss of the last fifth; infinite where it diverged."""
    late = runs.losses[..., -max(1, runs.losses.shape[-1] // 5) :].mean(-1)
    return np.where(np.isfinite(runs.losses).all(-1), late, np.inf)


def search(problem: Problem, entry: Entry, budget: Budget) -> dict[str, Any]:
    """The best rate, all scores, and whether the best is at an end of the grid."""
    rates = entry.rates(budget.rates)
    seeds = SEARCH_SEEDS[: budget.search_seeds]
    every = max(1, budget.search // SEARCH_POINTS)
    points = [{"learning_rate": rate} for rate in rates]
    scores = score(train(problem, entry.make, points, seeds, budget.search, every))
    means = scores.mean(-1)
    best = int(np.argmin(means))
    if not math.isfinite(means[best]):
        raise FloatingPointError(
            f"{problem.name}, {entry.name}: must converge at one of {rates}, diverged "
            "at all; give it a grid of smaller rates."
        )
    return {
        "rate": rates[best],
        "searched": {f"{r:g}": number(s) for r, s in zip(rates, means, strict=True)},
        "at the end of the grid": best in (0, len(rates) - 1),
    }


def number(value: float, digits: int = 4) -> float | None:
    """Few digits, for the JSON; None where it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def numbers(values: np.ndarray, digits: int = 4) -> list[Any]:
    return [number(v, digits) for v in np.asarray(values, float)]


def curve(losses: np.ndarray, every: int) -> dict[str, Any]:
    """Mean and standard deviation over the seeds (seeds, chunks)."""
    spread = losses.std(0, ddof=1) if len(losses) > 1 else np.zeros(losses.shape[1])
    return {"every": every, "mean": numbers(losses.mean(0)), "sd": numbers(spread, 2)}


def contest(
    problem: Problem,
    entries: Sequence[Entry],
    budget: Budget,
    progress: Progress,
    marks: Sequence[int] = (),
) -> dict[str, Any]:
    """One row for each optimizer: rate, curve, the last losses and measures by seed."""
    rows = []
    every = max(1, budget.steps // POINTS)
    for entry in entries:
        found = search(problem, entry, budget)
        point = [{"learning_rate": found["rate"]}]
        seeds = range(budget.seeds)
        runs = train(problem, entry.make, point, seeds, budget.steps, every, marks)
        measured = {
            str(step): {name: numbers(of[0]) for name, of in values.items()}
            for step, values in runs.measured.items()
        }
        row = {"optimizer": entry.name, **found, "loss": curve(runs.losses[0], every)}
        row |= {"last": numbers(score(runs)[0]), "measured": measured}
        rows.append(row)
        progress(
            f"{problem.name}, {entry.name}: rate {found['rate']:g}, "
            f"loss {np.mean(score(runs)[0]):.4g}"
        )
    return {
        "problem": problem.name,
        "budget": budget._asdict(),
        "batch": problem.batch,
        "steps in an epoch": problem.epoch,
        "rows": rows,
    }
