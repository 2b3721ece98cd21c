"""Runs a table of optimizers over the tasks, at every rate of a grid."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .task import Candidate, Task, losses, score

RATES = tuple(float(f"{10**x:.4g}") for x in np.arange(-5, 1.01, 0.5))
"""The grid: 10⁻⁵ to 10, two rates a decade."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One optimizer on one task: the worst score over the seeds, at each rate."""

    optimizer: str
    task: str
    target: float
    rates: tuple[float, ...]
    scores: tuple[float, ...]
    seconds: float
    error: str = ""

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
        """The lowest score, infinite if every rate diverged or it raised an error."""
        return min(self.scores, default=float("inf"))


def search(optimizer: Candidate, task: Task, rates: Sequence[float] = RATES) -> Cell:
    """One compiled program: a scan over the steps, mapped over seeds and rates."""
    began = time.perf_counter()

    # A program runs once, for less time than LLVM would take to polish it.
    quickly = {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    }

    @functools.partial(jax.jit, compiler_options=quickly)
    def program(rates, seeds):
        def one(rate, noise):
            return score(task, losses(task, optimizer, rate, noise))

        over_seeds = jax.vmap(one, in_axes=(None, 0), axis_size=task.seeds)
        noise = jax.vmap(task.noise)(seeds)
        return jax.vmap(over_seeds, in_axes=(0, None))(rates, noise).max(axis=1)

    scores, raised = [], ""
    try:
        grid = jnp.asarray(rates, jnp.float32)
        scores = np.asarray(program(grid, jnp.arange(task.seeds))).tolist()
    except (ValueError, TypeError, NotImplementedError) as error:
        raised = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return Cell(
        optimizer=optimizer.name,
        task=task.name,
        target=task.target,
        rates=tuple(rates) if scores else (),
        scores=tuple(scores),
        seconds=time.perf_counter() - began,
        error=raised,
    )


def search_all(
    optimizers: Iterable[Candidate],
    tasks: Sequence[Task],
    rates: Sequence[float] = RATES,
    known: Sequence[Cell] = (),
    after: Callable[[Cell], None] = lambda cell: None,
) -> Iterator[list[Cell]]:
    """Every optimizer on every task, one at a time: its cells. Those that are `known`
    are not searched again; `after` is told of each of the others.
    """
    before = {(cell.optimizer, cell.task): cell for cell in known}
    for optimizer in optimizers:
        cells = []
        for task in tasks:
            cell = before.get((optimizer.name, task.name))
            if cell is None or cell.target != task.target:
                cell = search(optimizer, task, rates)
                after(cell)
            cells.append(cell)
        yield cells
