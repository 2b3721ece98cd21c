"""Grafting: the length of one optimizer's step, the direction of another's."""

import numpy as np

from .form import at, divide, trajectory
from .shampoo import along, in_blocks, power, unfold


def grafted(magnitude, direction):
    """|s_M| / |s_D| s_D, and 0 where s_D is 0: the norms are of a whole tensor."""
    lengths = (np.sqrt(np.sum(np.square(s))) for s in (magnitude, direction))
    return divide(next(lengths), next(lengths)) * direction


@trajectory
def rmsprop_on_adam(
    theta, gradient, steps, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.9
):
    """N. Agarwal, R. Anil, E. Hazan, T. Koren, C. Zhang, Disentangling Adaptive
    Gradient Methods from Learning Rates, 2020, arXiv:2002.11803, Algorithm 1 (AdaGraft)
    "layer-wise": w <- w - |s_M| / |s_D| s_D with the steps of two methods on one
    gradient, each with its own state.

    Here M is RMSProp, g / (sqrt(v) + ε), without correction, and D is Adam. The rate is
    a factor of both, and so of s_M.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    r = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        adam = divide(m / w1, np.sqrt(v / w2) + eps)
        r = decay * r + (1 - decay) * g**2
        rmsprop = divide(g, np.sqrt(r) + eps)
        theta = theta - at(learning_rate, k) * grafted(rmsprop, adam)
        yield theta


@trajectory
def sgd_on_shampoo(theta, gradient, steps, *, learning_rate, eps=1e-4):
    """The same with M = SGD, the length of the gradient, and D = Shampoo
    (arXiv:1802.09568): the grafting of R. Anil, V. Gupta, T. Koren, et al., Scalable
    Second Order Optimization for Deep Learning, 2020, arXiv:2002.09018.
    """
    h = [eps * np.eye(n) for n in theta.shape]
    for k in range(steps):
        g = u = gradient(k, theta)
        for axis in range(theta.ndim):
            unfolded = unfold(g, axis)
            h[axis] = h[axis] + unfolded @ unfolded.T
            u = along(u, axis, power(h[axis], -1 / (2 * theta.ndim)))
        theta = theta - at(learning_rate, k) * grafted(g, u)
        yield theta


@trajectory
def adam_on_shampoo(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b2=0.95,
    eps=1e-8,
    eps_shampoo=1e-2,
    interval=3,
    start=5,
    b2_shampoo=None,
    weight_decay=0.0,
):
    """H.-J. M. Shi, T.-H. Lee, S. Iwasaki, et al., A Distributed Data-Parallel PyTorch
    Implementation of the Distributed Shampoo Optimizer for Training Neural Networks
    At-Scale, 2023, arXiv:2309.06497, Algorithm 2 without momentum, and in their code:

    P_A = G / (sqrt(v / (1 - β2^t)) + ε);  P_S = L^(-1/4) G R^(-1/4), the roots of
    H / (1 - β2^t) + ε' I, taken at t = start and at later multiples of the interval;
    P = P_A for t < start, then |P_A| / |P_S| P_S. The decay is AdamW's. H may have a
    β2 of its own, `b2_shampoo`. In blocks: `adam_on_shampoo_in_blocks`.
    """
    b2_h = b2 if b2_shampoo is None else b2_shampoo
    h = [np.zeros((n, n)) for n in theta.shape]
    roots = [None] * theta.ndim
    v = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        g = u = gradient(k, theta)
        v = b2 * v + (1 - b2) * g**2
        step = divide(g, np.sqrt(v / (1 - b2**t)) + eps)
        for axis, n in enumerate(theta.shape):
            unfolded = unfold(g, axis)
            h[axis] = b2_h * h[axis] + (1 - b2_h) * unfolded @ unfolded.T
            if t == start or (t > start and t % interval == 0):
                seen = h[axis] / (1 - b2_h**t) + eps_shampoo * np.eye(n)
                roots[axis] = power(seen, -1 / (2 * theta.ndim))
            if t >= start:
                u = along(u, axis, roots[axis])
        if t >= start:
            step = grafted(step, u)
        theta = theta - at(learning_rate, k) * (step + weight_decay * theta)
        yield theta


@trajectory
def adam_on_shampoo_in_blocks(theta, gradient, steps, *, block_size, **keywords):
    """Adam on Shampoo with blocks, each with a length of its own."""
    yield from in_blocks(
        adam_on_shampoo, theta, gradient, steps, block_size, **keywords
    )
