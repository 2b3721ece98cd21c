"""Trains many runs of one optimizer in one program: points of a grid × seeds.

A point is a dictionary of hyperparameters; they are arrays to the program, so that one
compilation serves a whole grid. A seed has the same start and the same batches for
every point and every optimizer: what differs is the optimizer alone.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from benchmarks.training.paper.problem import Problem

Make = Callable[..., Any]
Points = Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Runs:
    """`losses` (points, seeds, chunks): means over `every` steps; `measured` by mark:
    arrays (points, seeds) by name, taken at the first end of `every` steps not before
    the mark."""

    losses: np.ndarray
    every: int
    measured: dict[int, dict[str, np.ndarray]]


class Program(NamedTuple):
    """What is compiled for an optimizer on a problem; the first axis is the lanes."""

    start: Callable  # (point, params) -> carry
    run: Callable  # (data, carry, point, key, first step, indices) -> carry, loss
    test: Callable  # (carry, test data) -> means


@functools.lru_cache(maxsize=16)
def program(problem: Problem, make: Make) -> Program:
    """All lanes at once, or one after another with the same meaning."""

    def start(point: Any, params: Any) -> Any:
        return params, make(**problem.of_optimizer(point)).init(params)

    def step(data: Any, point: Any, key: Any, carry: Any, number: Any, chosen: Any):
        params, state = carry
        fresh = jax.random.fold_in(jax.random.fold_in(key, 1), number)
        batch = problem.pick(data, chosen)
        loss, grads = jax.value_and_grad(problem.loss)(params, batch, fresh)
        grads = problem.disturb(grads, jax.random.fold_in(fresh, 1), point)
        tx = make(**problem.of_optimizer(point))
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def measure(carry: Any, part: Any) -> Any:
        params, state = carry
        return problem.measure(adamx.eval_params(state, params), part)

    return (at_once if problem.together else in_turn)(start, step, measure)


def at_once(start: Callable, step: Callable, measure: Callable) -> Program:
    """Under `vmap`, a chunk of steps as one scan."""

    @functools.partial(jax.jit, donate_argnums=1)
    def run(data: Any, carry: Any, point: Any, key: Any, first: Any, order: Any):
        def lane(carry: Any, point: Any, key: Any, order: Any) -> Any:
            def one(carry: Any, at: Any) -> Any:
                return step(data, point, key, carry, *at)

            steps = first + jnp.arange(len(order))
            carry, losses = jax.lax.scan(one, carry, (steps, order))
            return carry, losses.mean()

        return jax.vmap(lane)(carry, point, key, order)

    @jax.jit
    def test(carry: Any, parts: Any) -> Any:
        def lane(carry: Any) -> Any:
            means = jax.lax.map(functools.partial(measure, carry), parts)
            return jax.tree.map(jnp.mean, means)

        return jax.vmap(lane)(carry)

    return Program(jax.jit(jax.vmap(start)), run, test)


def in_turn(start: Callable, step: Callable, measure: Callable) -> Program:
    """One compiled step, called from Python.

    In a loop of its own XLA:CPU runs a convolution 80 times slower than outside, and
    kernels of their own under `vmap` become grouped convolutions, as slow.
    """
    start, measure = jax.jit(start), jax.jit(measure)
    step = jax.jit(step, donate_argnums=3)

    def of(tree: Any, lane: int) -> Any:
        return jax.tree.map(lambda array: array[lane], tree)

    def together(trees: Sequence[Any]) -> Any:
        return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)

    def begin(point: Any, params: Any) -> Any:
        count = len(jax.tree.leaves(params)[0])
        return together([start(of(point, i), of(params, i)) for i in range(count)])

    def run(data: Any, carry: Any, point: Any, key: Any, first: int, order: Any):
        carries, means = [], []
        for lane in range(len(order)):
            own, losses = of(carry, lane), []
            for number, chosen in enumerate(order[lane], first):
                fixed = data, of(point, lane), key[lane]
                own, loss = step(*fixed, own, number, chosen)
                losses.append(loss)
            carries.append(own)
            means.append(jnp.stack(losses).mean())
        return together(carries), jnp.stack(means)

    def test(carry: Any, parts: Any) -> Any:
        found = []
        for lane in range(len(jax.tree.leaves(carry)[0])):
            count = len(jax.tree.leaves(parts)[0])
            own = of(carry, lane)
            means = together([measure(own, of(parts, i)) for i in range(count)])
            found.append(jax.tree.map(jnp.mean, means))
        return together(found)

    return Program(begin, run, test)


def train(
    problem: Problem,
    make: Make,
    points: Points,
    seeds: Sequence[int],
    steps: int,
    every: int,
    marks: Sequence[int] = (),
) -> Runs:
    """Runs every point with every seed; measures after each of `marks` and at the end.

    `steps` and `marks` are rounded up to multiples of `every`.
    """
    shape = len(points), len(seeds)
    chunks = -(-steps // every)
    stops = {-(-mark // every): mark for mark in (*marks, chunks * every)}
    compiled = program(problem, make)

    def for_points(array: Any) -> Any:
        """From (seeds, …) to lanes."""
        return jnp.tile(array, (len(points), *[1] * (array.ndim - 1)))

    point = {
        name: jnp.repeat(jnp.asarray([p[name] for p in points]), len(seeds))
        for name in points[0]
    }
    keys = [jax.random.key(seed) for seed in seeds]
    params = [problem.started(jax.random.fold_in(key, 0)) for key in keys]
    params = jax.tree.map(lambda *of: for_points(jnp.stack(of)), *params)
    key = for_points(jnp.stack(keys))
    carry = compiled.start(point, params)
    batches = problem.batches(seeds, every)
    losses, measured = [], {}
    for number in range(chunks):
        order = for_points(jnp.asarray(next(batches)))
        carry, loss = compiled.run(
            problem.data, carry, point, key, number * every, order
        )
        losses.append(np.asarray(loss).reshape(shape))
        if number + 1 in stops:
            found = compiled.test(carry, problem.parts(problem.test))
            measured[stops[number + 1]] = jax.tree.map(
                lambda of: np.asarray(of).reshape(shape), found
            )
    return Runs(np.stack(losses, -1), every, measured)
