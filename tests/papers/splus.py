"""SPlus: the sign of the momentum in the eigenbasis of Shampoo's matrices.

Nothing here depends on the sign of an eigenvector, or on their order: both come back
with Q.
"""

import numpy as np

from .form import at, trajectory
from .soap import rotate, rotate_back


@trajectory
def splus(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.1,
    b1=0.9,
    b2=0.999,
    weight_decay=0.0,
    ema_decay=0.999,
    nonstandard_constant=0.001,
    inverse_every=100,
    evaluated=False,
):
    """K. Frans, S. Levine, P. Abbeel, A Stable Whitening Optimizer for Efficient Neural
    Network Training, 2025, arXiv:2506.07254: for θ of shape (m, n),

    M <- β1 M + (1 - β1) G;  U = Q_L sign(Q_Lᵀ M Q_R) Q_Rᵀ;  θ <- θ - η 2 / (m + n) U;
    L <- β2 L + (1 - β2) G Gᵀ;  R <- β2 R + (1 - β2) Gᵀ G;
    every f steps  Q_L, Q_R <- eigenvectors of L, R, from Q = I;
    θ̄ <- γ θ̄ + (1 - γ) θ from θ̄ = 0, the model is evaluated at θ̄ / (1 - γ^t)

    Of the authors' code: Q at step 1 too, after that step; leaves that are no matrix
    take the constant times sign(M); the decay, decoupled, is scaled as the step is.

    Departs from that code: the 1e-30 added to L and R is left out, and θ is averaged
    after the decay. `evaluated=True` gives θ̄ / (1 - γ^t).
    """
    matrix = theta.ndim == 2
    q = [np.eye(n) for n in theta.shape] if matrix else []
    h = [np.zeros((n, n)) for n in theta.shape] if matrix else []
    m, mean, w = np.zeros_like(theta), np.zeros_like(theta), 0.0
    for k in range(steps):
        g = gradient(k, theta)
        beta1, beta2, gamma = at(b1, k), at(b2, k), at(ema_decay, k)
        m = beta1 * m + (1 - beta1) * g
        u = rotate_back(np.sign(rotate(m, q)), q)
        scale = 2 / sum(theta.shape) if matrix else at(nonstandard_constant, k)
        step = scale * (u + at(weight_decay, k) * theta)
        theta = theta - at(learning_rate, k) * step
        if matrix:
            h = [
                beta2 * old + (1 - beta2) * new
                for old, new in zip(h, (g @ g.T, g.T @ g), strict=True)
            ]
            if k == 0 or (k + 1) % inverse_every == 0:
                q = [np.linalg.eigh(one)[1] for one in h]
        mean = gamma * mean + (1 - gamma) * theta
        w = gamma * w + (1 - gamma)
        yield mean / w if evaluated else theta
