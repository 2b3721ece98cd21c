"""M-SVAG: a step scaled by an estimate of the gradient's variance."""

import numpy as np

from .form import at, divide, trajectory


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
