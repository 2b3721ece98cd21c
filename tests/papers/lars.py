"""LARS: momentum with a rate for each tensor; its ratio is LAMB's `trust`."""

import numpy as np

from .form import at, trajectory
from .lamb import norm, trust


@trajectory
def lars(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    weight_decay=0.0,
    trust_coefficient=0.001,
    eps=0.0,
    momentum=0.9,
    norm_of_sum=False,
):
    """Y. You, I. Gitman, B. Ginsburg, Large Batch Training of Convolutional Networks,
    2017, arXiv:1708.03888, Algorithm 1: local rate λ = η |w| / (|g| + β |w|), and the
    rates inside the momentum, v <- m v + γ λ (g + β w), w <- w - v.

    `learning_rate` is γ, `trust_coefficient` η, `weight_decay` β, `momentum` m. The
    paper has no epsilon. `norm_of_sum=True` divides by |g + β w| in place of
    |g| + β |w|: that is `optax.lars`, which agrees with the paper for β = 0 only.
    """
    v = np.zeros_like(theta)
    for k in range(steps):
        gamma, beta = at(learning_rate, k), at(weight_decay, k)
        g = gradient(k, theta)
        below = norm(g + beta * theta) if norm_of_sum else norm(g) + beta * norm(theta)
        ratio = trust(norm(theta), below + at(eps, k) if below else 0.0)
        local = ratio * (at(trust_coefficient, k) if norm(theta) and below else 1.0)
        v = at(momentum, k) * v + gamma * local * (g + beta * theta)
        theta = theta - v
        yield theta


@trajectory
def lars_of_momentum(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    weight_decay=0.0,
    momentum=0.9,
    phi=lambda z: z,
):
    """LARS as arXiv:1904.00962, Algorithm 1, states it: the moment first, an average,
    then the ratio of norms of the moment, and the rate outside:
    m <- β1 m + (1 - β1)(g + λ x), x <- x - η φ(|x|) / |m| m.
    """
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, beta1, lam = at(learning_rate, k), at(momentum, k), at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * (g + lam * theta)
        theta = theta - eta * trust(phi(norm(theta)), norm(m)) * m
        yield theta
