"""Signum: the sign of the average of the gradient."""

import numpy as np

from .form import at, trajectory


@trajectory
def signum(theta, gradient, steps, *, learning_rate=1e-4, beta=0.9, weight_decay=0.0):
    """J. Bernstein, Y.-X. Wang, K. Azizzadenesheli, A. Anandkumar, signSGD: Compressed
    Optimisation for Non-Convex Problems, ICML 2018, arXiv:1802.04434, Algorithm 2
    (Signum): m = β m + (1 - β) g, x = x - δ sign(m). sign(0) is 0.

    Departs: `weight_decay`, which the pseudo-code lacks, is added to the sign before
    the rate, as J. Su does in Tiger (2023). A correction would change nothing: the sign
    of m / (1 - β^t) is that of m.
    """
    m = np.zeros_like(theta)
    for k in range(steps):
        delta, lam, b = at(learning_rate, k), at(weight_decay, k), at(beta, k)
        g = gradient(k, theta)
        m = b * m + (1 - b) * g
        theta = theta - delta * (np.sign(m) + lam * theta)
        yield theta
