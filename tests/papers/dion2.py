"""Dion2: Muon on the rows or columns of the momentum that are largest in this step."""

import numpy as np

from .form import at, trajectory
from .muon import QUINTIC, adam_elsewhere, frobenius


def polynomials(x, rows, eps, safety):
    """X <- a X + (b A + c A²) X with A = X Xᵀ, one row (a, b, c) for each step."""
    x = x / (safety * frobenius(x) + eps)
    for a, b, c in rows:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


@trajectory
def dion2(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.01,
    mu=0.95,
    eps=1e-8,
    weight_decay=0.0,
    fraction=0.25,
    out_axis=0,
    coefficients=(QUINTIC,) * 5,
    safety=1.0,
):
    """K. Ahn, N. Amsel, J. Langford, Dion2: A Simple Method to Shrink Matrix in Muon,
    2025, arXiv:2512.16928, as its authors' code has it (`dion2.py` of microsoft/dion,
    commit 0a059a4542; the paper's own pseudo-code was not at hand, so that its choices
    are known from the code and the paper's abstract only):

    M <- M + G;  K: the α-fraction of the rows of M with the largest Σ_j |M_ij|;
    O = NewtonSchulz(M_K);  M_K <- μ M_K;  X_K <- X_K - η sqrt(m / n) O

    for X of shape (m, n), which is (out, in) as torch has it; JAX's kernels are
    (in, out), for which `out_axis=1` is the same rule on Xᵀ. Columns in place of rows
    where m > n. The number of rows is rounded up. All of X decays first,
    X <- (1 - η λ) X. The code's polynomials are those of Polar Express, `coefficients`,
    after a division by `safety` ‖M_K‖.
    """
    x = theta if out_axis == 0 else theta.T
    scale = np.sqrt(x.shape[0] / x.shape[1])
    momentum = np.zeros_like(x)
    for k in range(steps):
        eta = at(learning_rate, k)
        g = gradient(k, x if out_axis == 0 else x.T)
        momentum = momentum + (g if out_axis == 0 else g.T)
        by_columns = x.shape[0] > x.shape[1]
        m = momentum.T if by_columns else momentum
        count = int(np.ceil(fraction * len(m)))
        chosen = np.argsort(-np.abs(m).sum(1), kind="stable")[:count]
        step, kept = np.zeros_like(m), np.array(m)
        if np.any(m[chosen]):
            step[chosen] = polynomials(m[chosen], coefficients, at(eps, k), safety)
        kept[chosen] *= at(mu, k)
        step, momentum = (y.T if by_columns else y for y in (step, kept))
        x = (1 - eta * at(weight_decay, k)) * x - eta * scale * step
        yield x if out_axis == 0 else x.T


dion2_or_adam = adam_elsewhere(dion2)
