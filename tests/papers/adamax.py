"""AdaMax: the largest recent gradient in place of the root of the squares."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adamax(theta, gradient, steps, *, learning_rate=2e-3, b1=0.9, b2=0.999, eps=1e-8):
    """D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015,
    arXiv:1412.6980, Algorithm 2 (AdaMax).

    Departs: the paper has no epsilon. Here it is added to |g_t| inside the maximum, as
    torch and Optax do; `eps=0` is the paper's.
    """
    m = np.zeros_like(theta)
    u = np.zeros_like(theta)
    w1 = 0.0  # 1 - Π β1
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + at(eps, k))
        w1 = beta1 * w1 + (1 - beta1)
        theta = theta - (alpha / w1) * divide(m, u)
        yield theta


@trajectory
def adamaxw(
    theta,
    gradient,
    steps,
    *,
    learning_rate=2e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=1e-4,
):
    """AdaMax, arXiv:1412.6980, Algorithm 2, with the decay of AdamW (Loshchilov &
    Hutter, arXiv:1711.05101) added to the update, before the rate. No paper of its own.
    """
    m = np.zeros_like(theta)
    u = np.zeros_like(theta)
    w1 = 0.0  # 1 - Π β1
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        lam = at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + at(eps, k))
        w1 = beta1 * w1 + (1 - beta1)
        theta = theta - alpha * (divide(m / w1, u) + lam * theta)
        yield theta
