"""DoG: the distance from the start over the root of the sum of squared norms.

It couples all leaves, by norms over the whole model.
"""

import math

import numpy as np

from .form import at, divide
from .one_vector import one_vector


def length(x):
    """The Euclidean norm."""
    return math.sqrt(np.dot(x, x))


@one_vector
def dog(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    reps_rel=1e-6,
    r_eps=None,
    eps=1e-8,
    weight_decay=0.0,
):
    """M. Ivgi, O. Hinder, Y. Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic
    Step Size Schedule, ICML 2023, arXiv:2302.12022, eq. (DoG):

        η_t = max_{i <= t} |x_i - x_0| / sqrt(Σ_{i <= t} |g_i|²),  η_0 = r_ε / |g_0|

    As in the authors' code r_ε = reps_rel (1 + |x_0|) unless `r_eps` gives it, r̄ is
    never under it, `eps` is added to the sum once, the paper's c is `learning_rate`,
    and `weight_decay` is coupled. The paper evaluates an average: `polynomial_average`.
    """
    x, x_0 = theta, theta
    r_bar = reps_rel * (1 + length(x_0)) if r_eps is None else r_eps
    sum_of_squares = eps
    for k in range(steps):
        g = gradient(k, x) + at(weight_decay, k) * x
        r_bar = max(r_bar, length(x - x_0))
        sum_of_squares = sum_of_squares + np.dot(g, g)
        eta = at(learning_rate, k) * float(divide(r_bar, math.sqrt(sum_of_squares)))
        x = x - eta * g if np.any(g) else x
        yield x


def polynomial_average(points, gamma=8.0):
    """O. Shamir, T. Zhang, Stochastic Gradient Descent for Non-smooth Optimization,
    ICML 2013, the polynomial-decay average with γ that DoG is evaluated with:
    x̄_t = (1 - (1 + γ) / (t + γ)) x̄_{t-1} + (1 + γ) / (t + γ) x_t from t = 1."""
    mean, means = np.zeros_like(points[0]), []
    for t, x in enumerate(points, 1):
        share = (1 + gamma) / (t + gamma)
        mean = (1 - share) * mean + share * x
        means.append(mean)
    return np.stack(means)
