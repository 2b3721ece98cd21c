"""AdaDelta: steps in the units of the steps before."""

import numpy as np

from .form import at, trajectory


@trajectory
def adadelta(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    rho=0.9,
    eps=1e-6,
    weight_decay=0.0,
):
    """M. D. Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, arXiv:1212.5701,
    Algorithm 1, where RMS[x] = sqrt(E[x²] + ε).

    Departs: the paper has no rate, so `learning_rate` multiplies the finished step and
    never enters E[Δx²]; `weight_decay` is coupled, λ x in the gradient.
    """
    square_g = np.zeros_like(theta)  # E[g²]
    square_dx = np.zeros_like(theta)  # E[Δx²]
    for k in range(steps):
        p, e = at(rho, k), at(eps, k)
        g = gradient(k, theta) + at(weight_decay, k) * theta
        square_g = p * square_g + (1 - p) * g**2
        dx = -np.sqrt(square_dx + e) / np.sqrt(square_g + e) * g
        square_dx = p * square_dx + (1 - p) * dx**2
        theta = theta + at(learning_rate, k) * dx
        yield theta
