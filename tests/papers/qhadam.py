"""QHAdam: a blend of the gradient and its average."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def qhadam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.995,
    b2=0.999,
    nu1=0.7,
    nu2=1.0,
    eps=1e-8,
):
    """J. Ma, D. Yarats, Quasi-hyperbolic momentum and Adam for deep learning, ICLR
    2019, arXiv:1810.06801, section 4 (QHAdam):

        θ_{t+1} = θ_t - α ((1 - ν1) g_t + ν1 m̂_t) /
                        (sqrt((1 - ν2) g_t² + ν2 v̂_t) + ε)

    No departure. Defaults: the paper's recommendation; its code has ν1 = ν2 = 1, Adam.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        n1, n2 = at(nu1, k), at(nu2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        numerator = (1 - n1) * g + n1 * m_hat
        root = np.sqrt((1 - n2) * g**2 + n2 * v_hat)
        theta = theta - alpha * divide(numerator, root + at(eps, k))
        yield theta
