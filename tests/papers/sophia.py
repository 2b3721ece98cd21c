"""Sophia: a clipped step over an estimate of the Hessian's diagonal.

The estimate is given: `hessian(k, theta)`, called only at the steps that use it.
"""

import numpy as np

from .form import at, divide, trajectory


def gauss_newton_bartlett_estimate(g_hat, batch_size):
    """B ĝ ⊙ ĝ, where ĝ is the gradient of the mean loss over the mini-batch of size B
    with labels drawn from the model's own predictions: Sophia, Algorithm 2."""
    return batch_size * g_hat * g_hat


@trajectory
def sophia(
    theta,
    gradient,
    steps,
    *,
    hessian,
    learning_rate=1e-4,
    b1=0.965,
    b2=0.99,
    eps=1e-12,
    weight_decay=1e-4,
    gamma=0.01,
    clip_threshold=1.0,
    update_interval=10,
):
    """H. Liu, Z. Li, D. Hall, P. Liang, T. Ma, Sophia: A Scalable Stochastic
    Second-order Optimizer for Language Model Pre-training, ICLR 2024, arXiv:2305.14342,
    Algorithm 3.

    h is renewed when t mod k = 1, that is at our steps 0, `update_interval`, …, before
    it is used, and starts at 0 without correction. The clip is elementwise; the paper's
    is at 1. The authors' code is `sophia_official`.
    """
    m = np.zeros_like(theta)
    h = np.zeros_like(theta)
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        if k % update_interval == 0:
            h_hat = np.asarray(hessian(k, theta), np.float64)
            h = beta2 * h + (1 - beta2) * h_hat
        point = theta - eta * lam * theta
        rho = at(clip_threshold, k)
        u = np.clip(divide(m, np.maximum(at(gamma, k) * h, at(eps, k))), -rho, rho)
        theta = point - eta * u
        yield theta


@trajectory
def sophia_official(
    theta,
    gradient,
    steps,
    *,
    hessian,
    learning_rate=1e-4,
    b1=0.965,
    b2=0.99,
    eps=1e-15,
    weight_decay=1e-1,
    gamma=0.04,
    update_interval=10,
):
    """Liu et al., arXiv:2305.14342, as the authors' Sophia-G and its training loop have
    it: sign(m) min(|m| / (ρ B h + 1e-15), 1), where `gamma` is ρ and B, the batch size,
    is in the estimate here.

    Differs from the paper: epsilon is added, not a maximum, and h is renewed after the
    step, at steps `update_interval` - 1, 2 `update_interval` - 1, …, at the parameters
    just reached, so the first `update_interval` steps see h = 0 and are ±1. A negative
    estimate, which Gauss-Newton-Bartlett never gives, would not be clipped.
    """
    m = np.zeros_like(theta)
    h = np.zeros_like(theta)
    for k in range(steps):
        lr = at(learning_rate, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        theta = theta * (1 - lr * at(weight_decay, k))
        m = beta1 * m + (1 - beta1) * g
        ratio = np.minimum(divide(np.abs(m), at(gamma, k) * h + at(eps, k)), 1.0)
        theta = theta - lr * np.sign(m) * ratio
        if k % update_interval == update_interval - 1:
            h_hat = np.asarray(hessian(k, theta), np.float64)
            h = beta2 * h + (1 - beta2) * h_hat
        yield theta
