"""LaProp: Adam that divides before it averages."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def laprop(
    theta,
    gradient,
    steps,
    *,
    learning_rate=4e-4,
    b1=0.9,
    b2=0.999,
    eps=1e-15,
    weight_decay=0.0,
):
    """L. Ziyin, Z. T. Wang, M. Ueda, LaProp: Separating Momentum and Adaptivity in
    Adam, arXiv:2002.04839, Algorithm 1.

    The paper's β1, β2 are μ, ν. Departs: `weight_decay`, which the pseudo-code lacks,
    is added to the step as in AdamW, then the rate. The authors' code keeps the rate
    inside the average: `laprop_official`.
    """
    n = np.zeros_like(theta)
    m = np.zeros_like(theta)
    c_n = c_m = 0.0  # 1 - Π ν_i, 1 - Π μ_i
    for k in range(steps):
        lam, mu, nu = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        n = nu * n + (1 - nu) * g**2
        c_n = nu * c_n + (1 - nu)
        m = mu * m + (1 - mu) * divide(g, np.sqrt(n / c_n) + at(eps, k))
        c_m = mu * c_m + (1 - mu)
        theta = theta - lam * (m / c_m + at(weight_decay, k) * theta)
        yield theta


@trajectory
def laprop_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=4e-4,
    b1=0.9,
    b2=0.999,
    eps=1e-15,
    weight_decay=0.0,
):
    """Ziyin, Wang & Ueda, arXiv:2002.04839, as the authors' code has it, and as its
    README, "Additional Details compared with the Paper", says.

    Differs from the paper when the rate changes: the rate multiplies each normalised
    gradient as it enters the average, and the correction is the average of the rates
    so weighted over the present rate, which is 1 at a rate of 0. Weight decay comes
    after the step, on the new θ, and is not multiplied by the rate.
    """
    n = np.zeros_like(theta)
    m = np.zeros_like(theta)
    average_of_rates = c_n = 0.0
    for k in range(steps):
        lr, mu, nu = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        n = nu * n + (1 - nu) * g**2
        average_of_rates = mu * average_of_rates + (1 - mu) * lr
        c_n = nu * c_n + (1 - nu)
        correction = average_of_rates / lr if lr != 0 else 1.0
        m = mu * m + (1 - mu) * lr * divide(g, np.sqrt(n / c_n) + at(eps, k))
        theta = theta - m / correction
        theta = theta - at(weight_decay, k) * theta
        yield theta
