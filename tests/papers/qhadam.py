"""Other first moments: QHAdam's blend, diffGrad's friction, AdaPNM's two signs."""

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


@trajectory
def adapnm(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    b3=1.0,
    eps=1e-8,
    weight_decay=0.0,
):
    """Z. Xie, L. Yuan, Z. Zhu, M. Sugiyama, Positive-Negative Momentum: Manipulating
    Stochastic Gradient Noise to Improve Generalization, ICML 2021, arXiv:2103.17182,
    AdaPNM, as the authors' code has it:

        m_t = β1² m_{t-2} + (1 - β1²) g_t
        θ_t = θ_{t-1} - α / sqrt((1 + β3)² + β3²) m̂_t / (sqrt(v̂_t) + ε),
        m̂_t = ((1 + β3) m_t - β3 m_{t-1}) / (1 - β1^t),
        v̂_t = max(v_1, …, v_t) / (1 - β2^t)

    β3 is the paper's β0. 1 - β1^t is exact for neither average of β1²: it is what both
    divide by. `weight_decay` is decoupled, before the step.
    """
    m = np.zeros_like(theta)  # m_{t-1}
    m_before = np.zeros_like(theta)  # m_{t-2}
    v = np.zeros_like(theta)
    v_max = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        beta3 = at(b3, k)
        g = gradient(k, theta)
        theta = theta - alpha * at(weight_decay, k) * theta
        m, m_before = beta1**2 * m_before + (1 - beta1**2) * g, m
        v = beta2 * v + (1 - beta2) * g**2
        v_max = np.maximum(v_max, v)
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = ((1 + beta3) * m - beta3 * m_before) / w1
        v_hat = v_max / w2
        scale = alpha / np.sqrt((1 + beta3) ** 2 + beta3**2)
        theta = theta - scale * divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        yield theta
