"""diffGrad: friction by the change of the gradient."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def diffgrad(theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """S. R. Dubey, S. Chakraborty, S. K. Roy, S. Mukherjee, S. K. Singh, B. B.
    Chaudhuri, diffGrad: An Optimization Method for Convolutional Neural Networks, IEEE
    TNNLS 2020, arXiv:1909.11015: Adam's step times a friction,

        ξ_t = 1 / (1 + e^-|Δg_t|),  Δg_t = g_{t-1} - g_t,  g_0 = 0
        θ_t = θ_{t-1} - α ξ_t m̂_t / (sqrt(v̂_t) + ε)

    The authors' first code had Δg = 0 by a mistake (its second version says so), and
    both add epsilon to the uncorrected root. Neither is reproduced here.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    g_before = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        xi = 1 / (1 + np.exp(-np.abs(g_before - g)))
        g_before = g
        theta = theta - alpha * xi * divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        yield theta
