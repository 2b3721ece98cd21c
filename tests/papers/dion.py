"""Dion: a low-rank part of the momentum, orthonormalised, with error feedback.

Nothing here depends on the signs of a QR decomposition: a sign of a column of P comes
back with R.
"""

import numpy as np

from .form import at, divide, trajectory
from .muon import adam_elsewhere


@trajectory
def dion(
    theta,
    gradient,
    steps,
    *,
    start,
    learning_rate=0.01,
    mu=0.95,
    eps=0.0,
    weight_decay=0.0,
    out_axis=0,
    transposed=False,
):
    """K. Ahn, B. Xu, N. Abreu, Y. Fan, G. Magakyan, P. Sharma, Z. Zhan, J. Langford,
    Dion: Distributed Orthonormalized Updates, 2025, arXiv:2504.05295, Algorithm 1:

    B = M + G;  P = Orthogonalize(B Q);  R = Bᵀ P;  M <- B - (1 - μ) P Rᵀ;
    Q <- ColumnNormalize(R);  X <- X - η sqrt(m / n) P Qᵀ

    for X of shape (m, n), which is (out, in) as torch has it; JAX's kernels are
    (in, out), for which `out_axis=1` is the same rule on Xᵀ. `start` is the first Q,
    (n, r), which the paper draws at random. Orthogonalize is QR.

    The authors' code adds ε to the norms of the columns, decays X <- (1 - η λ) X first,
    and for B = 0 takes P = 0 and leaves the columns of Q as they are: so does this one,
    as Orthogonalize(0) is not defined. For m < n it runs on Xᵀ (`transposed=True`, with
    `start` of (m, r)), still times sqrt(m / n); the algorithm says nothing of that.
    """
    scale = np.sqrt(theta.shape[out_axis] / theta.shape[1 - out_axis])
    out_axis = 1 - out_axis if transposed else out_axis
    x = theta if out_axis == 0 else theta.T
    q = np.array(start, np.float64)
    momentum = np.zeros_like(x)
    for k in range(steps):
        eta = at(learning_rate, k)
        now = x if out_axis == 0 else x.T
        g = gradient(k, now)
        b = momentum + (g if out_axis == 0 else g.T)
        if np.any(b):
            p = np.linalg.qr(b @ q)[0]
            r = b.T @ p
            momentum = b - (1 - at(mu, k)) * p @ r.T
            q = divide(r, np.linalg.norm(r, axis=0) + at(eps, k))
            step = scale * p @ q.T
        else:
            momentum, step = b, np.zeros_like(x)
        x = (1 - eta * at(weight_decay, k)) * x - eta * step
        yield x if out_axis == 0 else x.T


dion_or_adam = adam_elsewhere(dion)
