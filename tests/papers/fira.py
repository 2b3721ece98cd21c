"""Fira: GaLore, and what the subspace leaves out, scaled and limited."""

import numpy as np

from .adam import adam_eps_hat
from .form import at, divide, trajectory
from .galore import Subspace, Wide, adam_elsewhere, leading, norm


def factors(n, r, axis, eps):
    """|N| / (|R| + ε) for each column, or for the tensor.

    Ours: 0 where R is 0 (the papers divide by 0 there; a column that is orthogonal to
    all of P has no factor). The codes have ε = 1e-8, and there a factor of 1e8 |N|.
    """
    below = norm(r, axis) + eps
    return np.where(below == 0, 0.0, norm(n, axis) / np.where(below == 0, 1.0, below))


def limit(s, before, growth, eps):
    """Fira's norm-growth limiter: S γ / max(|S| / (|S_{t-1}| + ε), γ), and its length.

    A step is at most γ times as long as the one before. So one zero gradient leaves a
    step of γ ε at most, and 1 % more with each step that follows: at ε = 1e-8, some
    1,800 steps to be back at 1. With ε = 0 all that follows is 0.
    """
    length = norm(s)
    if before is None or growth is None:
        return s, length
    limiter = max(float(divide(length, before + eps)), growth) / growth
    s = s / limiter if np.isfinite(limiter) else np.zeros_like(s)
    return s, norm(s)


@trajectory
def fira(
    theta,
    gradient,
    steps,
    *,
    rank,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_norm=None,
    update_proj_gap=200,
    scale=1.0,
    weight_decay=0.0,
    growth=1.01,
    projection=None,
    released=False,
    right_if_square=False,
):
    """X. Chen, K. Feng, C. Li, et al., Fira: Can We Achieve Full-rank Training of LLMs
    Under Low-rank Constraint?, NeurIPS 2025, arXiv:2410.01623, Algorithm 1 (A.1):

    R, S <- Pᵀ G, (I - P Pᵀ) G;  N <- sqrt(1 - β2^t) / (1 - β1^t) M / (sqrt(V) + ε);
    S[:, i] <- S[:, i] |N[:, i]| / (|R[:, i]| + ε);
    S <- S γ / max(|S| / (|S_{t-1}| + ε), γ);  W <- W - η α (P N + S).

    ε is added before the correction, and `eps_norm` is that of the two lengths (None:
    the same). The first S is not limited. No decay in the algorithm; here it comes
    after the step, as in the code.

    `released=True` is the authors' code where it differs: α is in its back-projection,
    which the residual uses too, so S comes from G - α P R and stands unscaled beside
    α P N (S is not the residual unless α = 1, and its examples have 0.25); and the
    limiter sees S without the correction. It has ε = 1e-6 and 1e-8 for the lengths.
    """
    wide = Wide(theta.shape, right_if_square)
    adam = Subspace(projection or leading(rank), update_proj_gap, b1, b2, eps, True)
    before = None
    for k in range(steps):
        eta = at(learning_rate, k)
        small = at(eps, k) if eps_norm is None else eps_norm
        g = wide(gradient(k, theta))
        r, n = adam(k, g)
        corrected = np.sqrt(adam.w2) / adam.w1 if released else 1.0
        inside = (scale if released else 1.0) * adam.p @ r
        s = (g - inside) * factors(n / corrected, r, 0, small)
        s, before = limit(s, before, growth, small)
        direction = scale * adam.p @ n + (1.0 if released else scale) * corrected * s
        theta = theta - eta * wide(direction)
        theta = theta - eta * at(weight_decay, k) * theta
        yield theta


fira_or_adam = adam_elsewhere(fira, adam_eps_hat)
