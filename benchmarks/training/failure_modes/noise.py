"""Tasks with noisy gradients: white noise, outliers, rows that are seldom seen."""

import jax
import jax.numpy as jnp
import numpy as np

from .task import Task

CURVATURE = np.logspace(-1, 0, 16).reshape(4, 4)


def bowl(w, k):
    """½ Σ h w², condition 10; 3.1 at w = 1."""
    return 0.5 * jnp.sum(jnp.asarray(CURVATURE, jnp.float32) * w**2)


def ones():
    return np.ones((4, 4), np.float32)


def slope(w):
    return jnp.asarray(CURVATURE, jnp.float32) * w


def normal(key):
    return jax.random.normal(key, (4, 4))


def white(name: str, sigma: float) -> Task:
    """White noise, and what the mean of all gradients would leave: σ² Σ 1/h / 2 T."""
    steps = 2000
    limit = sigma**2 * np.sum(1 / CURVATURE) / (2 * steps)
    return Task(
        name=name,
        shows=f"Gradients with white noise of standard deviation {sigma:g}; their own "
        "size is at most 1.",
        criterion=f"five times {limit:.2g}, the statistical limit for 2,000 gradients",
        reason="No method can know the minimum better than σ² Σ 1/h / 2T, which an "
        "average over the whole run reaches; five times as much is an average over a "
        "fifth of it. The start is at 3.1.",
        start=ones,
        loss=bowl,
        gradient=lambda noise, k, w: slope(w) + sigma * noise,
        draw=normal,
        target=5 * limit,
        steps=steps,
        seeds=3,
    )


def heavy_tails() -> Task:
    def draw(key):
        u = jax.random.uniform(key, (4, 4), minval=-1.0)
        return jnp.sign(u) * (jnp.abs(u) ** (-1 / 1.2) - 1)

    return Task(
        name="heavy tails",
        shows="Noise of both signs with Pareto tails of index 1.2: no variance, and "
        "outliers of thousands.",
        criterion="0.08 in 2,000 steps (start: 3.2), as with white noise",
        reason="The sign of such a gradient has a mean of 1.2 times a small slope and "
        "a variance of 1, so bounded steps see less than white noise of size 1 and as "
        "much can be asked. What is linear in the gradient adds up the outliers; so "
        "does a sign that is taken of an average.",
        start=ones,
        loss=bowl,
        gradient=lambda noise, k, w: slope(w) + noise,
        draw=draw,
        target=0.08,
        steps=2000,
        seeds=3,
    )


def spikes() -> Task:
    def gradient(noise, k, w):
        return jnp.where(k % 100 == 50, 1e3 * noise, slope(w))

    return Task(
        name="spikes",
        shows="Every hundredth gradient is noise of size 1,000: a broken batch.",
        criterion="1 % of the starting loss in 1,000 steps",
        reason="Without the ten spikes it is an easy bowl. Bounded steps lose ten of "
        "1,000; what remembers a spike's square does not move for long, what follows "
        "it starts again from afar.",
        start=ones,
        loss=bowl,
        gradient=gradient,
        draw=normal,
        target=0.031,
        steps=1000,
        seeds=3,
    )


def sparse_rows() -> Task:
    """An embedding: row i is seen with probability 1/(i + 1)."""
    rows = 32
    odds = jnp.asarray(1 / np.arange(1, rows + 1), jnp.float32)[:, None]

    def loss(w, k):
        return 0.5 * jnp.mean((w - 1) ** 2)

    def gradient(seen, k, w):
        return jnp.where(seen, w - 1, 0.0)

    return Task(
        name="rare rows",
        shows="An embedding whose row i is in one batch of i: zero gradients in "
        "between.",
        criterion="1 % of the starting loss over all rows in 2,000 steps",
        reason="The rarest row is seen 62 times: with rate 0.2 falling to 0, six "
        "e-foldings of its distance, twelve of its loss. Every row's own problem is "
        "round.",
        centre=0.0,
        start=lambda: np.zeros((rows, 4), np.float32),
        loss=loss,
        gradient=gradient,
        draw=lambda key: jax.random.bernoulli(key, odds),
        target=0.005,
        steps=2000,
        seeds=3,
    )


def rare_but_decisive() -> Task:
    """S. Reddi, S. Kale, S. Kumar, On the Convergence of Adam and Beyond, section 3."""

    def loss(x, k):
        return jnp.mean((x + 1) ** 2)

    def gradient(rare, k, x):
        return jnp.where(rare, 30.0, -1.0) + 10 * (x - jnp.clip(x, -1, 1))

    return Task(
        name="rare but decisive",
        shows="After the counterexample to Adam: a gradient of 30 once in twenty "
        "steps, else -1. The mean is +0.55, so the minimum is at the wall at -1.",
        criterion="a mean squared distance of 0.25 from -1 in 2,000 steps, from 1",
        reason="2,000 gradients add up to 1,100 with a deviation of 300. Between "
        "walls, gradient descent with rate r is within 40 r of the end, and there "
        "after 2 / r steps: r = 0.005 does. What follows the sign of most goes to +1.",
        centre=0.0,
        start=lambda: np.zeros((4, 4), np.float32),
        loss=loss,
        gradient=gradient,
        draw=lambda key: jax.random.bernoulli(key, 0.05, (4, 4)),
        target=0.25,
        steps=2000,
        seeds=3,
    )


TASKS = (
    white("white noise", 1.0),
    white("strong noise", 3.0),
    heavy_tails(),
    spikes(),
    sparse_rows(),
    rare_but_decisive(),
)
