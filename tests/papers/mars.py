"""MARS: the variance of the gradient reduced by the difference of two."""

import numpy as np

from .adam import adamw
from .form import at, divide, trajectory


def clip_to_norm_one(c):
    """c / |c| if |c| > 1, else c: MARS, Algorithm 2."""
    norm = np.sqrt(np.sum(c**2))
    return c / norm if norm > 1 else c


@trajectory
def mars(
    theta,
    gradient,
    steps,
    *,
    learning_rate=3e-3,
    b1=0.95,
    b2=0.99,
    gamma=0.025,
    eps=1e-8,
    weight_decay=0.0,
):
    """H. Yuan, Y. Liu, S. Wu, X. Zhou, Q. Gu, MARS: Unleashing the Power of Variance
    Reduction for Training Large Models, ICML 2025, arXiv:2411.10438, Algorithm 2
    (MARS-AdamW), exact: the second gradient is that of the present sample at the point
    before, `gradient(k, θ_{k-1})`, and x_0 = x_1, so that the first difference is zero.

    The clip is over this leaf, as in the authors' code; the paper's x has no leaves.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    x_before = theta
    for k in range(steps):
        eta, lam, gam = at(learning_rate, k), at(weight_decay, k), at(gamma, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        difference = g - gradient(k, x_before)
        c = g + gam * beta1 / (1 - beta1) * difference
        c = clip_to_norm_one(c)
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        x_before = theta
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - eta * (u + lam * theta)
        yield theta


@trajectory
def mars_approximate(
    theta,
    gradient,
    steps,
    *,
    learning_rate=3e-3,
    b1=0.95,
    b2=0.99,
    gamma=0.025,
    eps=1e-8,
    weight_decay=0.0,
    first_difference=True,
):
    """Yuan et al., arXiv:2411.10438, MARS-approx: the second gradient is
    the one of the step before, ∇f(x_{t-1}, ξ_{t-1}), and no gradient is taken twice.

    The pseudo-code does not say what precedes the first gradient. The authors' code
    has zeros there, so c_1 = (1 + γ β1 / (1 - β1)) g_1: `first_difference=True`. With
    False the first difference is zero, as in the exact method, where x_0 = x_1.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    before = np.zeros_like(theta) if first_difference else None
    for k in range(steps):
        eta, lam, gam = at(learning_rate, k), at(weight_decay, k), at(gamma, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        difference = g - (g if before is None else before)
        c = g + gam * beta1 / (1 - beta1) * difference
        c = clip_to_norm_one(c)
        m = beta1 * m + (1 - beta1) * c
        v = beta2 * v + (1 - beta2) * c**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        before = g
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - eta * (u + lam * theta)
        yield theta


def mars_of_matrices(
    theta,
    gradient,
    steps,
    *,
    learning_rate=3e-3,
    adam_learning_rate=None,
    adam_b1=0.9,
    adam_b2=0.95,
    adam_eps=1e-8,
    adam_weight_decay=0.1,
    **keywords,
):
    """The default of the authors' code (`optimize_1d=False`): MARS-approx for leaves of
    two axes, and AdamW for the others, with a rate, decays, ε and λ of its own."""
    if np.ndim(theta) == 2:
        keywords["learning_rate"] = learning_rate
        return mars_approximate(theta, gradient, steps, **keywords)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    return adamw(
        theta,
        gradient,
        steps,
        learning_rate=rate,
        b1=adam_b1,
        b2=adam_b2,
        eps=adam_eps,
        weight_decay=adam_weight_decay,
    )
