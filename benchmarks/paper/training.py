"""Trains many runs of one optimizer in one program: points of a grid × seeds.

A point is a dictionary of hyperparameters; they are arrays to the program, so that one
compilation serves a whole grid. A seed has the same start and the same batches for
every point and every optimizer: what differs is the optimizer alone.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from benchmarks.paper.problem import Problem

Make = Callable[..., Any]
Points = Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Runs:
    """`losses` (points, seeds, chunks): means over `every` steps; `measured` after so
    many steps: arrays (points, seeds) by name."""

    losses: np.ndarray
    every: int
    measured: dict[int, dict[str, np.ndarray]]


def over(together: bool) -> Callable[[Callable], Callable]:
    """`vmap`, or one after another with the same meaning."""
    if together:
        return jax.vmap
    return lambda f: lambda *args: jax.lax.map(lambda each: f(*each), args)


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
    chunks = -(-steps // every)
    stops = {-(-mark // every): mark for mark in (*marks, chunks * every)}
    point = {k: jnp.asarray([p[k] for p in points]) for k in points[0]}
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    each = over(problem.together)

    def lanes(one: Callable) -> Callable:
        """`one(point, carry, per_seed)` over all points and seeds."""

        def of_point(point: Any, carry: Any, per_seed: Any) -> Any:
            return each(lambda c, s: one(point, c, s))(carry, per_seed)

        return lambda point, carry, per_seed: each(
            lambda p, c: of_point(p, c, per_seed)
        )(point, carry)

    def start(point: Any, _: Any, key: Any) -> Any:
        params = problem.init(jax.random.fold_in(key, 0))
        return params, make(**point).init(params)

    def chunk(data: Any, first: Any, point: Any, carry: Any, per_seed: Any) -> Any:
        key, indices = per_seed
        tx = make(**point)

        def step(carry: Any, at: Any) -> Any:
            params, state = carry
            number, chosen = at
            fresh = jax.random.fold_in(jax.random.fold_in(key, 1), number)
            batch = problem.pick(data, chosen)
            loss, grads = jax.value_and_grad(problem.loss)(params, batch, fresh)
            grads = problem.disturb(grads, jax.random.fold_in(fresh, 1), point)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), loss

        carry, losses = jax.lax.scan(step, carry, (first + jnp.arange(every), indices))
        return carry, losses.mean()

    @functools.partial(jax.jit, donate_argnums=2)
    def run(data: Any, point: Any, carry: Any, first: Any, per_seed: Any) -> Any:
        return lanes(functools.partial(chunk, data, first))(point, carry, per_seed)

    @jax.jit
    def test(point: Any, carry: Any, data: Any) -> Any:
        def one(point: Any, carry: Any, _: Any) -> Any:
            params, state = carry
            return problem.measured(adamx.eval_params(state, params), data)

        return lanes(one)(point, carry, keys)

    empty = jnp.zeros((len(points), len(seeds)))
    carry = jax.jit(lanes(start))(point, empty, keys)
    batches = problem.batches(seeds, every)
    losses, measured = [], {}
    for number in range(chunks):
        per_seed = keys, jnp.asarray(next(batches))
        carry, loss = run(problem.data, point, carry, number * every, per_seed)
        losses.append(np.asarray(loss))
        if number + 1 in stops:
            found = test(point, carry, problem.test)
            measured[stops[number + 1]] = jax.tree.map(np.asarray, found)
    return Runs(np.stack(losses, -1), every, measured)
