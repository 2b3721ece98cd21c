"""Other second moments: AdaBelief's surprise, Yogi's sum, M-SVAG's variance."""

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


@trajectory
def yogi(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=1e-6,
):
    """M. Zaheer, S. Reddi, D. Sachan, S. Kale, S. Kumar, Adaptive Methods for Nonconvex
    Optimization, NeurIPS 2018, Algorithm 2 (Yogi):

        v_t = v_{t-1} - (1 - β2) sign(v_{t-1} - g_t²) g_t²

    Departs: both averages are divided by 1 - β^t as in Adam, and v starts at
    `initial_accumulator`. The listing corrects nothing and starts at 0: `yogi_paper`.
    Optax starts m there too, so that a zero gradient moves it; here m_0 = 0 (the
    paper's).
    """
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        theta = theta - eta * divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        yield theta


@trajectory
def yogi_paper(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=0.0,
):
    """Zaheer et al., NeurIPS 2018, Algorithm 2, no departure: nothing is corrected,
    x_{t+1} = x_t - η_t m_t / (sqrt(v_t) + ε).
    """
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator)
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        theta = theta - eta * divide(m, np.sqrt(v) + at(eps, k))
        yield theta


@trajectory
def yogi_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=1e-6,
):
    """Zaheer et al., NeurIPS 2018, Algorithm 2, as TensorFlow Addons publishes it: the
    rate is η sqrt(1 - β2^t) / (1 - β1^t) and epsilon is added to the uncorrected root.
    v starts at 1e-6, m at 0.
    """
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v + (1 - beta2) * np.sign(g**2 - v) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        eta_t = eta * np.sqrt(w2) / w1
        theta = theta - eta_t * divide(m, np.sqrt(v) + at(eps, k))
        yield theta


@trajectory
def msvag(theta, gradient, steps, *, learning_rate=1e-2, beta=0.9):
    """L. Balles, P. Hennig, Dissecting Adam: The Sign, Magnitude and Variance of
    Stochastic Gradients, ICML 2018, arXiv:1705.07774, the M-SVAG algorithm:

        s_t = (v_t - m_t²) / (1 - ρ(β, t)),  γ_t = m_t² / (m_t² + ρ(β, t) s_t)
        θ_{t+1} = θ_t - α γ_t m_t

    m_t, v_t are corrected averages of one β; ρ(β, t) is the sum of the squares of their
    normalised weights, (1 - β)(1 + β^t) / ((1 + β)(1 - β^t)) for t = 1, 2, …

    One gradient has no variance (ρ = 1): γ_1 = 1, as the authors' code has it by a cap
    of ρ at 0.9999. That code clips γ to [0, 1]; here v - m², never negative but by
    rounding, is clipped at 0.
    """
    m_tilde = np.zeros_like(theta)
    v_tilde = np.zeros_like(theta)
    w = q = 0.0  # the sum of the weights, and of their squares
    for k in range(steps):
        t = k + 1
        alpha, b = at(learning_rate, k), at(beta, k)
        g = gradient(k, theta)
        m_tilde = b * m_tilde + (1 - b) * g
        v_tilde = b * v_tilde + (1 - b) * g**2
        w = b * w + (1 - b)
        q = b**2 * q + (1 - b) ** 2
        m = m_tilde / w
        v = v_tilde / w
        rho = q / w**2
        s = np.zeros_like(m)
        if t > 1:
            s = np.maximum(v - m**2, 0.0) / (1 - rho)
        gamma = divide(m**2, m**2 + rho * s)
        theta = theta - alpha * gamma * m
        yield theta
