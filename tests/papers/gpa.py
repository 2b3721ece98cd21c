"""Generalized Primal Averaging around AdamW, of three sequences as Schedule-Free.

The gradient is taken at y, the step changes z, and x is the average to evaluate with.
Every oracle returns (y, x), after each step. All three start at θ.
"""

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def gpa_adamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    mu_y=0.7,
    mu_x=0.9967,
):
    """A. Defazio, K. Mishchenko, P. Raman, H.-J. M. Shi, L. Xiao, Smoothing DiLoCo with
    Primal Averaging for Faster Training of LLMs, arXiv:2512.17131, Generalized Primal
    Averaging with AdamW as the base:

        y_t = μ_y x_t + (1 - μ_y) z_t,   z_{t+1} = (1 - γ_t λ) z_t + γ_t d_t(y_t),
        x_{t+1} = μ_x x_t + (1 - μ_x) z_{t+1}

    with d = -m̂ / (sqrt(v̂) + ε) of Adam's Algorithm 1. The y returned at step t is
    y_{t+1}. The authors' code, which keeps y and z only, parts from it when it decays:
    `gpa_adamw_official`.
    """
    x = y = z = theta
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        gamma, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, y)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        d = -divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        z = (1 - gamma * lam) * z + gamma * d
        x = at(mu_x, k) * x + (1 - at(mu_x, k)) * z
        y = at(mu_y, k) * x + (1 - at(mu_y, k)) * z
        yield y, x


@one_vector
def gpa_adamw_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    mu_y=0.7,
    mu_x=0.9967,
    decay_at_y=False,
):
    """Defazio et al., arXiv:2512.17131, as the authors' GPAAdamW has it: y and z are
    kept, x = (y - (1 - μ_y) z) / μ_y is what they imply, and y is moved by

        y ← μ_x y + (1 - μ_x) z + γ (μ_y μ_x - 1) u

    That equals the three sequences without decay. With it the code shrinks z (or y:
    `decay_at_y`) first and not the other, so the x implied moves too, by
    γ λ z (1 - μ_y) / μ_y away from 0 (or by γ λ y / μ_y towards it): not the paper's.
    """
    y = z = theta
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        gamma, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, y)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        if decay_at_y:
            y = (1 - gamma * lam) * y
        else:
            z = (1 - gamma * lam) * z
        y = mu_x * y + (1 - mu_x) * z + gamma * (mu_y * mu_x - 1) * u
        z = z - gamma * u
        yield y, (y - (1 - mu_y) * z) / mu_y
