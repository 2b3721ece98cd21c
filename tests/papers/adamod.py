"""AdaMod: rates bounded by their own average."""

import numpy as np

from .form import at, trajectory


@trajectory
def adamod(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    b3=0.999,
    eps=1e-8,
):
    """J. Ding, X. Ren, R. Luo, X. Sun, An Adaptive and Momental Bound Method for
    Stochastic Learning, arXiv:1910.12249, Algorithm 1 (AdaMod). No departure.

        η_t = α_t / (sqrt(v̂_t) + ε),  s_t = β3 s_{t-1} + (1 - β3) η_t,  s_0 = 0
        θ_t = θ_{t-1} - min(η_t, s_t) m̂_t

    `eps` must be positive: the rate of a place without gradients is α / ε, and it is
    averaged. s is not corrected. The authors' code differs: `adamod_official`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    s = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        beta3 = at(b3, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        eta = alpha / (np.sqrt(v_hat) + at(eps, k))
        s = beta3 * s + (1 - beta3) * eta
        eta_hat = np.minimum(eta, s)
        theta = theta - eta_hat * m_hat
        yield theta


@trajectory
def adamod_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    b3=0.999,
    eps=1e-8,
):
    """Ding et al., arXiv:1910.12249, as the authors' code: both corrections are in the
    rate that is averaged and bounded, η_t = α sqrt(1 - β2^t) / (1 - β1^t) /
    (sqrt(v_t) + ε), and it multiplies the raw m_t. `eps` must be positive.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    s = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        beta3 = at(b3, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        eta = alpha * np.sqrt(w2) / w1 / (np.sqrt(v) + at(eps, k))
        s = beta3 * s + (1 - beta3) * eta
        eta_hat = np.minimum(eta, s)
        theta = theta - eta_hat * m
        yield theta
