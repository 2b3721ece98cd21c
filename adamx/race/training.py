"""Training: chunks of jitted steps under `lax.scan`, all seeds under one `vmap`.

Every optimizer starts from the same parameters and sees the same minibatches: both
depend on the seed alone. An epoch is a fresh shuffle of the training set. Between two
chunks the host looks at the loss over the whole of both sets, with the parameters that
the optimizer wants to be judged by (`adamx.eval_params`), so that nothing but steps is
timed.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx

from .data import Data
from .models import Model, loss_and_accuracy
from .optimizers import Estimate

POINTS = 25  # how often the curves are looked at
DRAWING = 2**31 - 1  # no epoch: what the estimates of the Hessian draw from
WORSE = 2.0  # heuristic: ending at so many times the loss of the start is diverging


@dataclasses.dataclass(frozen=True)
class Settings:
    """Seed number i of the race is `seed + i`."""

    steps: int
    seeds: int
    seed: int
    batch: int


@dataclasses.dataclass(frozen=True)
class Run:
    """One optimizer's race. Curves have the shape (seeds, points)."""

    name: str
    learning_rate: float
    transformation: str
    steps: np.ndarray  # the steps taken at each point; may end early
    train_loss: np.ndarray
    train_accuracy: np.ndarray
    test_loss: np.ndarray
    test_accuracy: np.ndarray
    diverged_at: np.ndarray  # the first bad step of each seed, 0 for none
    steps_per_second: float
    compile_seconds: float
    parameters: int
    state_bytes: int

    @property
    def finished(self) -> np.ndarray:
        """Which seeds did not diverge."""
        return self.diverged_at == 0

    def reached(self, loss: float) -> np.ndarray:
        """The first of `steps` at which each seed's training loss is `loss` or less.

        Infinity for a seed that never is.
        """
        there = self.train_loss <= loss
        first = self.steps[there.argmax(1)].astype(float)
        return np.where(there.any(1), first, np.inf)

    @property
    def state_bytes_per_parameter(self) -> float:
        return self.state_bytes / self.parameters


class Course:
    """What all optimizers share: start, minibatches and measurement, compiled once."""

    def __init__(self, model: Model, data: Data, settings: Settings):
        self.model = model
        self.settings = settings
        self.train = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
        self.test = jnp.asarray(data.x_test), jnp.asarray(data.y_test)
        self.rows = len(data.x_train)
        seeds = settings.seed + jnp.arange(settings.seeds)
        keys = jax.vmap(lambda s: jax.random.split(jax.random.key(s)))(seeds)
        self.start = jax.jit(jax.vmap(model.init))(keys[:, 0])
        self.shuffles = keys[:, 1]
        self.loss = lambda params, x, y: loss_and_accuracy(model, params, x, y)[0]
        self._measure = jax.jit(
            lambda params, train, test: (
                jax.vmap(lambda p: loss_and_accuracy(model, p, *train))(params),
                jax.vmap(lambda p: loss_and_accuracy(model, p, *test))(params),
            )
        )

    def measure(self, params: Any) -> list[np.ndarray]:
        """Training loss and accuracy, test loss and accuracy, of each seed."""
        measured = self._measure(params, self.train, self.test)
        return [np.asarray(a) for pair in measured for a in pair]

    def minibatches(self, key: jax.Array, epoch: Any, offset: Any, steps: int) -> Any:
        """The rows of the next `steps` minibatches, from `offset` in `epoch` on."""
        wanted = steps * self.settings.batch
        epochs = epoch + jnp.arange((wanted - 1) // self.rows + 2)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, epochs)
        shuffle = functools.partial(jax.random.permutation, x=self.rows)
        rows = jax.vmap(shuffle)(keys).reshape(-1)
        rows = jax.lax.dynamic_slice(rows, (offset,), (wanted,))
        return rows.reshape(steps, self.settings.batch)


def train(
    name: str,
    learning_rate: float,
    tx: optax.GradientTransformation,
    course: Course,
    on_chunk: Callable[[int, list[np.ndarray], float], None] = lambda *_: None,
    *,
    estimate: Estimate | None = None,
) -> Run:
    """Trains all seeds at once; `on_chunk(steps, measured, steps per second)`.

    `estimate` is what the optimizer wants to know of the Hessian, if anything.
    """
    settings = course.settings
    params = jax.tree.map(jnp.copy, course.start)
    state = jax.jit(jax.vmap(tx.init))(params)
    length = -(-settings.steps // POINTS)
    programs: dict[int, Any] = {}
    compiling = training = 0.0
    done, points, measured = 0, [0], [course.measure(params)]
    diverged_at = np.zeros(settings.seeds, int)
    while done < settings.steps and not diverged_at.all():
        now = min(length, settings.steps - done)
        epoch, offset = divmod(done * settings.batch, course.rows)
        of_data = (course.shuffles, course.train, epoch, offset, done)
        arguments = (params, state, *of_data)
        if now not in programs:
            since = time.perf_counter()
            program = _program(tx, course, now, estimate)
            programs[now] = program.lower(*arguments).compile()
            compiling += time.perf_counter() - since
        since = time.perf_counter()
        taken = jax.block_until_ready(programs[now](*arguments))
        params, state, losses, evaluated = taken
        training += time.perf_counter() - since
        diverged_at = _first_bad(diverged_at, np.asarray(losses), done)
        done += now
        points.append(done)
        measured.append(course.measure(evaluated))
        on_chunk(done, measured[-1], done / training)
    curves = [np.stack(curve, axis=1) for curve in zip(*measured, strict=True)]
    lost = _stays_above(curves[0], np.asarray(points))
    diverged_at = np.where(diverged_at == 0, lost, diverged_at)
    return Run(
        name,
        learning_rate,
        repr(tx),
        np.asarray(points),
        *curves,
        diverged_at=diverged_at,
        steps_per_second=done / training,
        compile_seconds=compiling,
        parameters=_total(params, lambda a: a.size) // settings.seeds,
        state_bytes=_total(state, lambda a: a.nbytes) // settings.seeds,
    )


def chunk(
    tx: optax.GradientTransformation,
    course: Course,
    steps: int,
    estimate: Estimate | None = None,
) -> Callable[..., Any]:
    """`steps` train steps of one seed, as a function to be mapped and compiled."""

    def of_seed(params, state, key, train, epoch, offset, done):
        def step(carry, rows_and_number):
            params, state = carry
            rows, number = rows_and_number
            x, y = train[0][rows], train[1][rows]
            loss, grads = jax.value_and_grad(course.loss)(params, x, y)
            extra = {}
            if estimate is not None:
                fresh = jax.random.fold_in(drawing, number)
                estimated = _estimated(estimate, course, params, x, y, fresh)
                extra["hessian"] = jax.lax.cond(
                    number % estimate.every == 0,
                    estimated,
                    lambda: jax.tree.map(jnp.zeros_like, params),
                )
            updates, state = tx.update(grads, state, params, **extra)
            return (optax.apply_updates(params, updates), state), loss

        drawing = jax.random.fold_in(key, DRAWING)
        rows = course.minibatches(key, epoch, offset, steps)
        numbers = done + jnp.arange(steps)
        (params, state), losses = jax.lax.scan(step, (params, state), (rows, numbers))
        return params, state, losses, adamx.eval_params(state, params)

    return of_seed


def _estimated(
    estimate: Estimate, course: Course, params: Any, x: Any, y: Any, key: Any
) -> Callable[[], Any]:
    """The estimate of the Hessian on a minibatch, when it is called."""

    def loss(p: Any) -> Any:
        return course.loss(p, x, y)

    def logits(p: Any) -> Any:
        return course.model.apply(p, x)

    return lambda: estimate.of(loss, logits, params, key)


def _program(
    tx: optax.GradientTransformation,
    course: Course,
    steps: int,
    estimate: Estimate | None,
) -> Any:
    """`steps` train steps of all seeds as one jitted function."""
    of_seed = chunk(tx, course, steps, estimate)
    all_seeds = jax.vmap(of_seed, in_axes=(0, 0, 0, None, None, None, None))
    return jax.jit(all_seeds, donate_argnums=(0, 1))


def _first_bad(diverged_at: np.ndarray, losses: np.ndarray, done: int) -> np.ndarray:
    """The first step of each seed whose minibatch loss is not finite."""
    bad = ~np.isfinite(losses)
    first = done + bad.argmax(1) + 1
    return np.where((diverged_at == 0) & bad.any(1), first, diverged_at)


def _stays_above(losses: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The point of each seed from which its loss stays `WORSE`, 0 if it ends better."""
    better = losses <= WORSE * losses[:, :1]
    ended_better = better[:, -1]
    last_better = better.shape[1] - 1 - better[:, ::-1].argmax(1)
    return np.where(
        ended_better, 0, points[np.minimum(last_better + 1, len(points) - 1)]
    )


def _total(tree: Any, of: Callable[[jax.Array], int]) -> int:
    return sum(of(leaf) for leaf in jax.tree.leaves(tree))
