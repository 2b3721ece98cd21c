"""AdaBelief: a second moment of the gradient's surprise."""

import numpy as np

from . import exact
from .form import at, divide, trajectory


@trajectory
def adabelief(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-16,
    eps_root=1e-16,
):
    """J. Zhuang, T. Tang, Y. Ding, S. Tatikonda, N. Dvornek, X. Papademetris, J.
    Duncan, AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients,
    NeurIPS 2020, arXiv:2010.07468, Algorithm 2:

        s_t = β2 s_{t-1} + (1 - β2) (g_t - m_t)² + ε,  ŝ_t = s_t / (1 - β2^t)
        θ_t = θ_{t-1} - α m̂_t / (sqrt(ŝ_t) + ε)

    m_t is the average that already holds g_t. The paper has one ε for both places; here
    the one inside the average, which adds up over the steps, is `eps_root`.
    """
    m = np.zeros_like(theta)
    s = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + at(eps_root, k)
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        s_hat = s / w2
        theta = theta - alpha * divide(m_hat, np.sqrt(s_hat) + at(eps, k))
        yield theta


@trajectory
def adabelief_rectified(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-16,
    eps_root=1e-16,
    threshold=5.0,
):
    """AdaBelief (arXiv:2010.07468) as the authors' code has it by default: rectified
    like RAdam (Liu et al., arXiv:1908.03265), with that code's epsilon, added to the
    uncorrected root. `b2` is a number.
    """
    m = np.zeros_like(theta)
    s = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), b2
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + at(eps_root, k)
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        if float(exact.rho(t, beta2)) > at(threshold, k):
            r = float(exact.rectifier(t, beta2))
            l_t = np.sqrt(w2)
            theta = theta - alpha * r * l_t * divide(m_hat, np.sqrt(s) + at(eps, k))
        else:
            theta = theta - alpha * m_hat
        yield theta
