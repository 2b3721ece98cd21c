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
    max_dim=None,
    decays_after=False,
    evaluated=None,
):
    """K. Frans, S. Levine, P. Abbeel, A Stable Whitening Optimizer for Efficient Neural
    Network Training, 2025, arXiv:2506.07254: for θ of shape (m, n),

    M <- β1 M + (1 - β1) G;  U = Q_L sign(Q_Lᵀ M Q_R) Q_Rᵀ;  θ <- θ - η 2 / (m + n) U;
    L <- β2 L + (1 - β2) G Gᵀ;  R <- β2 R + (1 - β2) Gᵀ G;
    every f steps  Q_L, Q_R <- eigenvectors of L, R, from Q = I;
    θ̄ <- γ θ̄ + (1 - γ) θ from θ̄ = 0, the model is evaluated at θ̄ / (1 - γ^t)

    Of the authors' code: Q at step 1 too, after that step; leaves that are no matrix
    take the constant times sign(M), and so do those with a side longer than `max_dim`,
    which has no basis; the decay, decoupled, is scaled as the step is.

    The code for torch decays after the step (`decays_after=True`). `evaluated` gives
    θ̄ / (1 - γ^t): of the θ "after" the step; "between" step and decay, as the code for
    torch; or "before" both, as that for Optax. The 1e-30 that the codes add to L and R
    are left out.
    """
    matrix = theta.ndim == 2
    longest = np.inf if max_dim is None else max_dim
    scaled = matrix and max(theta.shape) <= longest
    has = [matrix and n <= longest for n in theta.shape]
    q = [np.eye(n) if some else None for n, some in zip(theta.shape, has, strict=True)]
    h = [0.0 if one is None else np.zeros_like(one) for one in q]
    m, mean, w = np.zeros_like(theta), np.zeros_like(theta), 0.0
    for k in range(steps):
        g = gradient(k, theta)
        beta1, beta2, gamma = at(b1, k), at(b2, k), at(ema_decay, k)
        m = beta1 * m + (1 - beta1) * g
        u = rotate_back(np.sign(rotate(m, q)), q)
        scale = 2 / sum(theta.shape) if scaled else at(nonstandard_constant, k)
        eta, before = at(learning_rate, k) * scale, theta
        between = theta - eta * u
        decayed = between if decays_after else theta
        theta = between - eta * at(weight_decay, k) * decayed
        if matrix:
            h = [
                beta2 * old + (1 - beta2) * new
                for old, new in zip(h, (g @ g.T, g.T @ g), strict=True)
            ]
            if k == 0 or (k + 1) % inverse_every == 0:
                q = [
                    np.linalg.eigh(one)[1] if some else None
                    for one, some in zip(h, has, strict=True)
                ]
        seen = {"before": before, "between": between}.get(evaluated, theta)
        mean = gamma * mean + (1 - gamma) * seen
        w = gamma * w + (1 - gamma)
        yield theta if evaluated is None else mean / w
