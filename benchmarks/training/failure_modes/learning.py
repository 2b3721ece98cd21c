"""Tasks of small models that learn from data, with full-batch gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from .task import Task


def logistic() -> Task:
    """Two classes that a plane divides; features of sizes 0.01 to 100."""
    generator = np.random.default_rng(5)
    x = generator.standard_normal((64, 8))
    y = np.sign(x @ generator.standard_normal(8))
    x = jnp.asarray(x * np.logspace(-2, 2, 8), jnp.float32)
    y = jnp.asarray(y, jnp.float32)

    def loss(w, k):
        return jnp.mean(jax.nn.softplus(-y * (x @ w["w"][:, 0] + w["b"])))

    return Task(
        name="features of all sizes",
        shows="Logistic regression, 64 points that can be separated, features of "
        "sizes 0.01 to 100.",
        criterion="a mean loss of 0.1 (start: 0.69) in 1,000 steps",
        reason="All eight features have a say in the labels, so the small ones need "
        "weights of 100s. At 0.1 the typical margin is 2.3. Scaling the coordinates "
        "makes it an ordinary problem; gradient descent is held by the largest.",
        centre=0.0,
        start=lambda: {"w": np.zeros((8, 1), np.float32), "b": np.float32(0)},
        loss=loss,
        target=0.1,
        steps=1000,
    )


def small_factors() -> Task:
    """f = ½ |U Vᵀ - M|² from near zero: one saddle for each singular value."""
    generator = np.random.default_rng(6)
    left = np.linalg.qr(generator.standard_normal((8, 3)))[0]
    right = np.linalg.qr(generator.standard_normal((6, 3)))[0]
    goal = jnp.asarray(left @ np.diag([1.0, 0.3, 0.1]) @ right.T, jnp.float32)
    u = 1e-3 * generator.standard_normal((8, 3))
    v = 1e-3 * generator.standard_normal((6, 3))

    def loss(w, k):
        return 0.5 * jnp.sum((w["u"] @ w["v"].T - goal) ** 2)

    return Task(
        name="factors from near zero",
        shows="A matrix of rank 3 (singular values 1, 0.3, 0.1) as U Vᵀ from U, V of "
        "size 0.001: a saddle for each value.",
        criterion="0.001 in 2,000 steps (start: 0.55; without the third: 0.005)",
        reason="The smallest factor grows as exp(0.1 · rate · steps): to grow a "
        "thousandfold takes 70 of those, and gradient descent, stable up to rate 1 or "
        "so, has 1,000 with a rate that falls to 0.",
        centre=0.0,
        start=lambda: {"u": np.asarray(u, np.float32), "v": np.asarray(v, np.float32)},
        loss=loss,
        target=1e-3,
        steps=2000,
    )


def deep_linear() -> Task:
    """A product of ten 3 × 3 matrices, each 0.3 at the start."""
    layers = 10

    def loss(w, k):
        product = jnp.eye(3)
        for name in sorted(w):
            product = w[name] @ product
        return 0.5 * jnp.sum((product - jnp.eye(3)) ** 2)

    return Task(
        name="deep and linear",
        shows="Ten matrices whose product should be 1, each 0.3 at the start: "
        "gradients of 2·10⁻⁵ there, curvature 10 at the end.",
        criterion="0.01 in 1,000 steps (start: 1.5)",
        reason="Steps of a fixed length need 0.7 / 500. Gradient descent is stable at "
        "the end for rates below 0.2, and needs 0.3⁻⁸ / 8 = 1,900 of rate times steps "
        "to leave the start: it has 100.",
        centre=0.0,
        start=lambda: {
            f"layer{i}": 0.3 * np.eye(3, dtype=np.float32) for i in range(layers)
        },
        loss=loss,
        target=1e-2,
        steps=1000,
    )


def parity() -> Task:
    """XOR of two bits with eight hidden units."""
    x = jnp.asarray([[0, 0], [0, 1], [1, 0], [1, 1]], jnp.float32)
    y = jnp.asarray([0, 1, 1, 0], jnp.float32)
    generator = np.random.default_rng(8)
    first = generator.standard_normal((2, 8)) / np.sqrt(2)
    second = generator.standard_normal((8, 1)) / np.sqrt(8)

    def loss(w, k):
        hidden = jnp.tanh(x @ w["first"] + w["first_bias"])
        logit = (hidden @ w["second"])[:, 0] + w["second_bias"]
        return jnp.mean(jax.nn.softplus(logit) - y * logit)

    return Task(
        name="exclusive or",
        shows="A network of eight tanh units learns XOR: the smallest that is not "
        "convex.",
        criterion="a mean loss of 0.05 (start: about 0.69) in 1,000 steps",
        reason="At 0.05 every answer has 95 % of the probability. Gradient descent "
        "learns it at rates of the order of 1, and 1,000 steps of those are many.",
        centre=0.0,
        start=lambda: {
            "first": np.asarray(first, np.float32),
            "first_bias": np.zeros(8, np.float32),
            "second": np.asarray(second, np.float32),
            "second_bias": np.float32(0),
        },
        loss=loss,
        target=0.05,
        steps=1000,
    )


TASKS = (logistic(), small_factors(), deep_linear(), parity())
