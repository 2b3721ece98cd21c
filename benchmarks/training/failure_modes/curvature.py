"""Tasks without noise whose difficulty is the curvature of the loss."""

import jax.numpy as jnp
import numpy as np

from .task import Task


def rotation(seed: int, n: int) -> np.ndarray:
    """An orthogonal matrix without preferred directions."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def quadratic(name, curvatures, *, turn=None, **words) -> Task:
    """f = ½ xᵀ H x from f = 1, of which every eigendirection has the same part."""
    h = np.asarray(curvatures, np.float64)
    n = len(h)
    q = np.eye(n) if turn is None else turn
    start = q @ (np.sqrt(2 / n) / np.sqrt(h))
    matrix = jnp.asarray(q @ np.diag(h) @ q.T, jnp.float32)

    def loss(x, k):
        return 0.5 * x @ matrix @ x

    return Task(
        name=name,
        start=lambda: np.asarray(start, np.float32),
        loss=loss,
        **words,
    )


ROUND = quadratic(
    "round bowl",
    np.ones(16),
    shows="Nothing can go wrong: the control.",
    criterion="1/10,000 of the starting loss in 200 steps",
    reason="Gradient descent with rate 1 arrives in one step. Steps of fixed length "
    "0.01, falling to 0, cross the 0.35 to go in 36 and are below 0.001 in the last "
    "tenth, which leaves 8·10⁻⁶.",
    target=1e-4,
    steps=200,
)

TEN_THOUSAND = np.logspace(-4, 0, 16)

STRETCHED = quadratic(
    "stretched bowl",
    TEN_THOUSAND,
    shows="Condition number 10⁴ along the axes: does it scale each coordinate?",
    criterion="1 % of the starting loss in 1,000 steps, all directions having equal "
    "parts",
    reason="Gradient descent at its best rate, 2 falling to 0, keeps exp(-0.2) = 82 % "
    "of the flattest sixteenth: it fails. Heavy ball with momentum 0.9 is ten times "
    "as fast and keeps 2 % of it. Scaling the coordinates makes the bowl round.",
    target=1e-2,
    steps=1000,
)

ROTATED = quadratic(
    "rotated bowl",
    TEN_THOUSAND,
    turn=rotation(1, 16),
    shows="The same, turned: scaling coordinates no longer helps.",
    criterion="1 % of the starting loss in 1,000 steps",
    reason="A rotation changes nothing for gradient descent and heavy ball, so what "
    "can be asked of the stretched bowl can be asked of this one.",
    target=1e-2,
    steps=1000,
)


def kronecker() -> Task:
    """f = ½ <W, A W B> with A and B turned, of condition 100 each."""
    h = np.logspace(-2, 0, 4)
    left, right = rotation(2, 4), rotation(3, 4)
    a = jnp.asarray(left @ np.diag(h) @ left.T, jnp.float32)
    b = jnp.asarray(right @ np.diag(h) @ right.T, jnp.float32)
    start = left @ (np.sqrt(2 / 16) / np.sqrt(np.outer(h, h))) @ right.T

    def loss(w, k):
        return 0.5 * jnp.sum(w * (a @ w @ b))

    return Task(
        name="rotated layer",
        shows="A matrix whose curvature is a product of rows' and columns', turned: "
        "what Shampoo and its kin are made for.",
        criterion="1 % of the starting loss in 1,000 steps",
        reason="Condition 10⁴ again, and heavy ball passes again; scaling rows and "
        "columns in their eigenbases makes it round.",
        start=lambda: np.asarray(start, np.float32),
        loss=loss,
        target=1e-2,
        steps=1000,
    )


def rosenbrock() -> Task:
    def loss(x, k):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    return Task(
        name="banana valley",
        shows="Rosenbrock's curved valley from (-1.2, 1): does it follow the bend?",
        criterion="f <= 0.01 in 2,000 steps, from 24.2",
        reason="On the floor f = (1 - x)², so the last tenth is averaged within 0.1 "
        "of the end, past the bend. The path on the floor is 3.6 long: 2,000 steps of "
        "0.002 each.",
        centre=0.0,
        start=lambda: np.array([-1.2, 1.0], np.float32),
        loss=loss,
        target=1e-2,
        steps=2000,
    )


def saddle() -> Task:
    def loss(x, k):
        return 0.5 * jnp.sum(x[1:] ** 2) + 0.25 * (x[0] ** 2 - 1) ** 2

    return Task(
        name="saddle",
        shows="Starts 10⁻⁶ beside the ridge that leads into a saddle.",
        criterion="1 % above the minimum (the saddle is at 0.25) in 500 steps",
        reason="Leaving multiplies the offset by 1 + rate a step: with rate 1, 20 "
        "steps to grow a millionfold, with 0.1, 145.",
        centre=0.0,
        start=lambda: np.array([1e-6, 1, 1, 1], np.float32),
        loss=loss,
        target=0.0025,
        steps=500,
    )


def plateau() -> Task:
    def loss(x, k):
        return jnp.mean(1 - jnp.exp(-0.5 * x**2))

    return Task(
        name="plateau",
        shows="The gradient at the start is 3·10⁻⁵ of the largest on the way.",
        criterion="1 % of the height of the plateau in 500 steps",
        reason="Five units to walk: steps of 0.02 on average do, of whatever "
        "gradient; a fixed rate that makes such steps at the start makes steps of 600 "
        "later.",
        start=lambda: np.full(4, 5.0, np.float32),
        loss=loss,
        target=1e-2,
        steps=500,
    )


def cliff() -> Task:
    def loss(x, k):
        wall = jnp.sum(jnp.maximum(jnp.abs(x) - 1.9, 0.0))
        return 0.5 * jnp.sum(x**2) + 1e4 * wall

    return Task(
        name="cliff",
        shows="Stands 0.2 up a wall of slope 10⁴ around a bowl of slope 2: one huge "
        "gradient, then small ones.",
        criterion="a loss of 0.01 in 2,000 steps; the bowl's rim is at 7",
        reason="Gradient descent that is not thrown to the opposite wall has a rate "
        "of at most 4e-4, which keeps exp(-0.8) of the rim's loss. Steps of a fixed "
        "length cross the bowl with a rate of 0.002.",
        start=lambda: np.array([2.1, -2.1, 2.1, -2.1], np.float32),
        loss=loss,
        target=1e-2,
        steps=2000,
    )


def flat_minimum() -> Task:
    def loss(x, k):
        return jnp.mean(x**4)

    return Task(
        name="flat minimum",
        shows="x⁴: the curvature dies with the distance.",
        criterion="a loss of 10⁻⁸ in 1,000 steps: |x| from about 1 to 0.01",
        reason="Gradient descent with rate r falling to 0 ends at x = 1/sqrt(1000 r), "
        "and r <= 1 or so: 0.03, a loss of 10⁻⁶. Steps of a fixed length arrive and "
        "shrink.",
        start=lambda: np.array([0.7, 0.9, 1.1, 1.3], np.float32),
        loss=loss,
        target=1e-8,
        steps=1000,
    )


def kinks() -> Task:
    slopes = jnp.asarray(np.logspace(-2, 2, 8), jnp.float32)

    def loss(x, k):
        return jnp.mean(jnp.abs(x))

    return Task(
        name="kinks",
        shows="Absolute values with slopes from 0.01 to 100; the gradient does not "
        "vanish at the minimum.",
        criterion="mean |x| of 0.02 in 500 steps, from 1",
        reason="Steps that shrink linearly cross 1 with a rate of 0.004 and end "
        "within less; gradient descent crosses the gentlest slope with rate 0.4 only, "
        "and is then thrown by 40 at the steepest.",
        start=lambda: np.ones(8, np.float32),
        loss=loss,
        gradient=lambda _, k, x: slopes * jnp.sign(x),
        target=0.02,
        steps=500,
    )


TASKS = (
    ROUND,
    STRETCHED,
    ROTATED,
    kronecker(),
    rosenbrock(),
    saddle(),
    plateau(),
    cliff(),
    flat_minimum(),
    kinks(),
)
