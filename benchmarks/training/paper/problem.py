"""Defines a training problem: a loss over batches, and a measure on test data."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np


def rows(data: Any, chosen: Any) -> Any:
    """Those rows of every array."""
    return jax.tree.map(lambda array: array[chosen], data)


def undisturbed(grads: Any, key: Any, point: Any) -> Any:
    """The gradients as they are."""
    return grads


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """A loss over batches, and a measure over a test set.

    `init(key)` makes the parameters; `loss(params, batch, key)` is a scalar, its key
    for dropout and samples; `pick(data, indices)` makes a batch; `measure(params,
    test)` is a dictionary of means over the rows of `test`, `test_rows` at a time;
    `disturb(grads, key, point)` is what the optimizer gets for the gradients,
    and `own` are the names in a point that are not the optimizer's.
    """

    name: str
    init: Callable[[Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    data: Any
    examples: int
    batch: int
    test: Any
    measure: Callable[[Any, Any], dict[str, Any]]
    pick: Callable[[Any, Any], Any] = rows
    disturb: Callable[[Any, Any, Any], Any] = undisturbed
    own: Sequence[str] = ()
    test_rows: int = 1000
    together: bool = True  # runs under vmap and scan; else in turn (convolutions)

    def of_optimizer(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a point that the optimizer is made with."""
        return {k: v for k, v in point.items() if k not in self.own}

    @functools.cached_property
    def started(self) -> Callable[[Any], Any]:
        """`init`, compiled once for all optimizers."""
        return jax.jit(self.init)

    @property
    def epoch(self) -> int:
        """The steps of one pass through the data, rounded up."""
        return -(-self.examples // self.batch)

    def batches(self, seeds: Sequence[int], chunk: int) -> Iterator[np.ndarray]:
        """Indices (seeds, chunk, batch) of the next steps, without end.

        Every seed goes through the data in a new order in every pass.
        """
        streams = [_shuffled(self.examples, seed) for seed in seeds]
        left = [np.zeros(0, np.int32) for _ in seeds]
        wanted = chunk * self.batch
        while True:
            taken = []
            for i, stream in enumerate(streams):
                while len(left[i]) < wanted:
                    left[i] = np.concatenate([left[i], next(stream)])
                taken.append(left[i][:wanted].reshape(chunk, self.batch))
                left[i] = left[i][wanted:]
            yield np.stack(taken)

    def parts(self, test: Any) -> Any:
        """The test set in equal parts of at most `test_rows`."""
        count = len(jax.tree.leaves(test)[0])
        largest = min(count, self.test_rows)
        size = max(n for n in range(1, largest + 1) if count % n == 0)
        return jax.tree.map(lambda a: a.reshape(-1, size, *a.shape[1:]), test)


def _shuffled(count: int, seed: int) -> Iterator[np.ndarray]:
    source = np.random.default_rng([seed, 3])
    while True:
        yield source.permutation(count).astype(np.int32)
