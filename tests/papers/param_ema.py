"""The average of the parameters, beside Adam."""

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def adam_averaged(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    decay=0.999,
):
    """D. P. Kingma, J. Ba, Adam, arXiv:1412.6980, section 7.2, "Temporal averaging",
    over Algorithm 1: θ̄_t = β2 θ̄_{t-1} + (1 - β2) θ_t from θ̄_0 = 0, and θ̂_t = θ̄_t /
    (1 - β2^t), where `decay` is that β2. Returns (θ, θ̂). θ_0 has no weight in it.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    mean = np.zeros_like(theta)
    w1 = w2 = w = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2, beta = at(b1, k), at(b2, k), at(decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - at(learning_rate, k) * u
        mean = beta * mean + (1 - beta) * theta
        w = beta * w + (1 - beta)
        yield theta, mean / w
