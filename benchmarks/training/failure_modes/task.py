"""Defines a task: a start, a gradient, a loss to be judged by, and a target."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Params = Any
Loss = Callable[[Params, jax.Array], jax.Array]
Draw = Callable[[jax.Array], jax.Array]
Gradient = Callable[[jax.Array | None, jax.Array, Params], Params]


@dataclasses.dataclass(frozen=True)
class Task:
    """One failure mode, small enough to be run at many learning rates at once.

    `loss(params, k)` is the true loss at step k = 0, 1, …: what is judged, and what is
    differentiated unless there is a `gradient(noise, k, params)`. Its noise is that of
    `draw(key)`, one for each step and seed, the same for all optimizers and rates. The
    score is the mean of the loss over the last `tail` of the steps, after each step;
    the task is passed where score <= target. Nothing is chosen by looking at one:
    `criterion` says in words what the target asks for, and `reason` why that much can
    be asked in these steps.

    `start` and `loss` are written around 0, and `centre` is added to every entry of
    what the optimizer sees: a minimum at the origin would suit steps relative to |w|,
    which die there, and any decay. Tasks in which 0 has a meaning have centre 0.
    `decay`: the rate falls linearly to 0 over the steps. Without it, a step that does
    not shrink with the gradient (a sign's, say) ends in a ball of the size of the rate,
    and every task would measure that alone. Where the loss moves, the rate is constant.
    `delay`: the gradient is of the parameters that many steps ago.
    `seeds`: of the noise; the worst one counts.
    """

    name: str
    shows: str
    criterion: str
    reason: str
    start: Callable[[], Params]
    loss: Loss
    target: float
    steps: int
    gradient: Gradient | None = None
    draw: Draw | None = None
    tail: float = 0.1
    centre: float = 1.0
    decay: bool = True
    delay: int = 0
    seeds: int = 1

    def noise(self, seed: jax.Array) -> jax.Array | None:
        """What `draw` gives for each step, stacked."""
        if self.draw is None:
            return None
        return jax.vmap(self.draw)(jax.random.split(jax.random.key(seed), self.steps))

    def begin(self) -> Params:
        """The parameters before the first step, as the optimizer sees them."""
        return jax.tree.map(lambda x: jnp.asarray(x) + self.centre, self.start())

    def own(self, params: Params) -> Params:
        """The optimizer's parameters in the task's coordinates."""
        return jax.tree.map(lambda x: x - self.centre, params)

    def value(self, params: Params, k) -> jax.Array:
        """The true loss at the optimizer's parameters."""
        return self.loss(self.own(params), k)

    def slope(self, noise, k: jax.Array, params: Params) -> Params:
        """The gradient that the optimizer is given at step k."""
        if self.gradient is None:
            return jax.grad(self.value)(params, k)
        return self.gradient(noise, k, self.own(params))

    def rate(self, learning_rate):
        """The schedule of the learning rate, a function of the steps taken."""
        if not self.decay:
            return learning_rate
        return lambda k: learning_rate * (1 - k / self.steps)


def losses(task: Task, optimizer, learning_rate, noise) -> jax.Array:
    """The true loss after each step, of one optimizer at one rate with one noise."""
    rate = task.rate(learning_rate) if optimizer.falling else learning_rate
    tx = optax.with_extra_args_support(optimizer.make(rate))
    start = task.begin()
    past = jax.tree.map(lambda x: jnp.stack([x] * (task.delay + 1)), start)

    def step(carry, now):
        k, drawn = now
        params, state, past = carry
        past = jax.tree.map(
            lambda old, x: jnp.roll(old, 1, 0).at[0].set(x), past, params
        )
        point = jax.tree.map(lambda old: old[-1], past)
        gradient = task.slope(drawn, k, point)
        extra = optimizer.extra(task, params, k)
        update, state = tx.update(gradient, state, params, **extra)
        params = optax.apply_updates(params, update)
        return (params, state, past), task.value(optimizer.evaluate(state, params), k)

    carry = start, tx.init(start), past
    return jax.lax.scan(step, carry, (jnp.arange(task.steps), noise))[1]


def score(task: Task, path: jax.Array) -> jax.Array:
    """The mean of the last losses, infinite where the run was not finite to its end."""
    mean = jnp.mean(path[-max(1, round(task.steps * task.tail)) :])
    return jnp.where(jnp.isfinite(mean), mean, jnp.inf)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An optimizer to be searched: `make(learning_rate)`, a number or a schedule.

    `evaluate(state, params)` gives the parameters to judge; `extra(task, params, k)`
    what `update` takes besides (a loss value, a Hessian estimate). `falling=False` is
    for what is made for a constant rate, and gets one.
    """

    name: str
    make: Callable[[Any], optax.GradientTransformation]
    evaluate: Callable[[Any, Params], Params] = lambda state, params: params
    extra: Callable[..., dict] = lambda task, params, k: {}
    falling: bool = True
