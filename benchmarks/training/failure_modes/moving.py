"""Tasks that change in time: late gradients, wrong signs, moving targets."""

import jax
import jax.numpy as jnp
import numpy as np

from .noise import bowl, ones, slope
from .task import Task


def delayed() -> Task:
    return Task(
        name="late gradients",
        shows="Every gradient is of the parameters of 10 steps before.",
        criterion="a thousandth of the starting loss in 1,000 steps",
        reason="With delay d gradient descent is stable for rate · h < 2 sin(π / (4 d "
        "+ 2)) = 0.15; with 0.1, falling to 0, the flattest direction keeps exp(-10) "
        "of its loss.",
        start=ones,
        loss=bowl,
        target=3.1e-3,
        steps=1000,
        delay=10,
    )


def sign_flips() -> Task:
    def gradient(wrong, k, w):
        return jnp.where(wrong, -1.0, 1.0) * slope(w)

    return Task(
        name="wrong signs",
        shows="Three gradients of ten have the wrong sign, all entries at once.",
        criterion="1 % of the starting loss in 1,000 steps",
        reason="The mean gradient is 0.4 of the true one, and the noise dies with it, "
        "so gradient descent with rate 0.3 falling to 0 shrinks the flattest part, of "
        "a tenth of the loss, by exp(-12).",
        start=ones,
        loss=bowl,
        gradient=gradient,
        draw=lambda key: jax.random.bernoulli(key, 0.3),
        target=0.031,
        steps=1000,
        seeds=3,
    )


def circling() -> Task:
    """The minimum goes round a circle of radius 1 once in 200 steps, in 8 planes."""
    phases = jnp.asarray(np.linspace(0, np.pi, 8), jnp.float32)

    def goal(k):
        angle = 2 * jnp.pi * k / 200 + phases
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def loss(w, k):
        return 0.5 * jnp.mean(jnp.sum((w - goal(k)) ** 2, axis=0))

    return Task(
        name="circling goal",
        shows="The minimum goes round a circle of radius 1 in 200 steps, for ever.",
        criterion="a tenth of the loss of standing still in the centre",
        reason="The goal moves 0.03 a step, so to be within 0.32 of it is to be 10 "
        "steps behind. Gradient descent with rate 0.3 is 3 behind. The rate is "
        "constant.",
        centre=0.0,
        start=lambda: np.zeros((2, 8), np.float32),
        loss=loss,
        gradient=lambda _, k, w: w - goal(k),
        target=0.05,
        steps=1000,
        tail=0.5,
        decay=False,
    )


def reversal() -> Task:
    """The goal is at +1 for 500 steps, then at -1 for 200."""
    h = jnp.asarray(np.logspace(-1, 0, 16).reshape(4, 4), jnp.float32)

    def goal(k):
        return jnp.where(k < 500, 1.0, -1.0)

    def loss(w, k):
        return 0.5 * jnp.mean(h * (w - goal(k)) ** 2)

    return Task(
        name="sudden reversal",
        shows="After 500 steps the goal jumps from +1 to -1: is what was learnt, or "
        "accumulated, in the way?",
        criterion="1 % of the loss after the jump, at the end of 200 more steps",
        reason="From 0 to +1 is half as far, and a rate of 1 makes it in 50 steps "
        "(the flattest direction by exp(-5)); 200 are given. A rate that is divided "
        "by the root of all squares so far has shrunk. The rate is constant.",
        centre=0.0,
        start=lambda: np.zeros((4, 4), np.float32),
        loss=loss,
        target=0.0078,
        steps=700,
        tail=0.02,
        decay=False,
    )


TASKS = (delayed(), sign_flips(), circling(), reversal())
