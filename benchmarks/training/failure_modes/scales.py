"""Tasks without noise whose gradients or features are huge, tiny or uneven."""

import jax.numpy as jnp
import numpy as np

from .curvature import rotation
from .task import Task


def scaled_bowl(name: str, scale: float, **words) -> Task:
    """A bowl of condition 10 whose *gradient* is multiplied by `scale`."""
    h = jnp.asarray(np.logspace(-1, 0, 8).reshape(2, 4), jnp.float32)

    def loss(w, k):
        return 0.5 * jnp.mean(h * w**2)

    return Task(
        name=name,
        start=lambda: np.ones((2, 4), np.float32),
        loss=loss,
        gradient=lambda _, k, w: scale * h * w,
        criterion="a thousandth of the starting loss in 500 steps",
        target=2e-4,
        steps=500,
        **words,
    )


TINY = scaled_bowl(
    "tiny gradients",
    1e-14,
    shows="All gradients are 10⁻¹⁴: is anything lost against epsilon?",
    reason="The bowl itself is easy (condition 10). Squares are 10⁻²⁸, well inside "
    "float32; only a constant that does not scale is in the way.",
)
HUGE = scaled_bowl(
    "huge gradients",
    1e14,
    shows="All gradients are 10¹⁴: does anything overflow?",
    reason="The bowl itself is easy (condition 10). Squares are 10²⁸, inside "
    "float32's 10³⁸; a method that does not scale would need a rate of 10⁻¹⁴.",
)


def layer_scales() -> Task:
    """Three tensors, f the mean of their losses; gradients 10⁻⁴, 1 and 10⁴ times."""
    sizes = {"embed": 1e-4, "hidden": 1.0, "head": 1e4}
    rates = jnp.asarray(np.logspace(-1, 0, 9).reshape(3, 3), jnp.float32)

    def loss(w, k):
        return sum(0.5 * jnp.mean(rates * w[name] ** 2) for name in sizes) / 3

    return Task(
        name="layers of all sizes",
        shows="Three layers whose gradients are 10⁻⁴, 1 and 10⁴ times a bowl's.",
        criterion="1 % of the starting loss in 500 steps",
        reason="Each layer alone is easy (condition 10), and one rate fits all if "
        "steps do not scale with a layer's gradient. Gradient descent needs rates 10⁸ "
        "apart.",
        start=lambda: {name: np.ones((3, 3), np.float32) for name in sizes},
        loss=loss,
        gradient=lambda _, k, w: {
            name: size * rates * w[name] for name, size in sizes.items()
        },
        target=2.2e-3,
        steps=500,
    )


def scale_invariant() -> Task:
    """The Rayleigh quotient of a matrix: depends on the direction of w only."""
    h = np.concatenate([[0.0], np.linspace(0.5, 1.0, 15)])
    q = rotation(4, 16)
    matrix = jnp.asarray(q @ np.diag(h) @ q.T, jnp.float32)
    start = 1e-2 * q @ np.ones(16) / 4

    def loss(w, k):
        w = w.reshape(-1)
        return w @ matrix @ w / jnp.sum(w**2)

    return Task(
        name="scale invariance",
        shows="The loss depends on the direction of w only, and w starts at length "
        "0.01: the gradient is 1/|w|, and every step makes |w| longer.",
        criterion="0.001 above the minimum (start: 0.7) in 500 steps",
        reason="On the sphere it is a bowl of condition 2. A step that is too long "
        "for 0.01 makes |w| longer and the next step gentler: gradient descent mends "
        "itself, and 500 steps remain.",
        centre=0.0,
        start=lambda: np.asarray(start, np.float32).reshape(4, 4),
        loss=loss,
        target=1e-3,
        steps=500,
    )


def stale_scale() -> Task:
    """A bowl whose gradient shrinks 1,000-fold after a third of the steps."""
    h = jnp.asarray(np.logspace(-1, 0, 8).reshape(2, 4), jnp.float32)
    target = jnp.asarray(np.linspace(1, 2, 8).reshape(2, 4), jnp.float32)

    def loss(w, k):
        return 0.5 * jnp.mean(h * (w - target * (k >= 500)) ** 2)

    def gradient(_, k, w):
        size = jnp.where(k >= 500, 1e-3, 1.0)
        return size * h * (w - target * (k >= 500))

    return Task(
        name="gradients that shrink",
        shows="After 500 of 1,500 steps the goal moves and gradients are 1,000 times "
        "smaller: how long is their old size remembered?",
        criterion="1 % of the loss at the move, at the end",
        reason="A running average with β = 0.999 forgets 1 - exp(-1) of the old "
        "squares in the 1,000 steps left, one with β = 0.99 all; the way to go is the "
        "same as before the move, and twice the time is left for it.",
        start=lambda: np.full((2, 4), 1.0, np.float32),
        loss=loss,
        gradient=gradient,
        target=6.3e-3,
        steps=1500,
        decay=False,
    )


TASKS = (TINY, HUGE, layer_scales(), scale_invariant(), stale_scale())
