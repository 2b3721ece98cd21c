"""Runs a table of members over the tasks, at every rate of a grid."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .task import Member, Task, losses, score

RATES = tuple(float(f"{10**x:.4g}") for x in np.arange(-5, 1.01, 0.5))
"""The grid: 10⁻⁵ to 10, two rates a decade."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One member on one task: the worst score over the seeds, at each rate."""

    member: str
    task: str
    target: float
    rates: tuple[float, ...]
    scores: tuple[float, ...]
    seconds: float
    refusal: str = ""

    @property
    def passing(self) -> list[float]:
        """The rates at which the task is passed."""
        both = zip(self.rates, self.scores, strict=True)
        return [rate for rate, score in both if score <= self.target]

    @property
    def passed(self) -> bool:
        return bool(self.passing)

    @property
    def best(self) -> float:
        """The lowest score, infinite if every rate diverged or the member refused."""
        return min(self.scores, default=float("inf"))


def search(member: Member, task: Task, rates: Sequence[float] = RATES) -> Cell:
    """One compiled program: a scan over the steps, mapped over seeds and rates."""
    began = time.perf_counter()

    @jax.jit
    def program(rates, seeds):
        def one(rate, noise):
            return score(task, losses(task, member, rate, noise))

        over_seeds = jax.vmap(one, in_axes=(None, 0), axis_size=task.seeds)
        noise = jax.vmap(task.noise)(seeds)
        return jax.vmap(over_seeds, in_axes=(0, None))(rates, noise).max(axis=1)

    scores, refusal = [], ""
    try:
        grid = jnp.asarray(rates, jnp.float32)
        scores = np.asarray(program(grid, jnp.arange(task.seeds))).tolist()
    except (ValueError, TypeError, NotImplementedError) as error:
        refusal = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return Cell(
        member=member.name,
        task=task.name,
        target=task.target,
        rates=tuple(rates) if scores else (),
        scores=tuple(scores),
        seconds=time.perf_counter() - began,
        refusal=refusal,
    )


def search_all(
    members: Iterable[Member],
    tasks: Sequence[Task],
    rates: Sequence[float] = RATES,
    after: Callable[[Cell], None] = lambda cell: None,
) -> list[Cell]:
    """Every member on every task, member by member; `after` is told of each cell."""
    cells = []
    for member in members:
        for task in tasks:
            cells.append(search(member, task, rates))
            after(cells[-1])
    return cells
