"""APOLLO and APOLLO-Mini: Adam in a random subspace gives the size of the step."""

import numpy as np

from .fira import factors, limit
from .form import at, trajectory
from .galore import Subspace, Wide, adam_elsewhere


@trajectory
def apollo(
    theta,
    gradient,
    steps,
    *,
    projection,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    update_proj_gap=200,
    scale=1.0,
    weight_decay=0.0,
    growth=1.01,
    by_tensor=False,
    eps_hat=False,
    eps_norm=0.0,
    right_if_square=False,
):
    """H. Zhu, Z. Zhang, W. Cong, et al., APOLLO: SGD-like Memory, AdamW-level
    Performance, MLSys 2025, arXiv:2412.05270, Algorithm 1: P ~ N(0, 1/r) every T steps;
    R = P G; R̃ = M / (sqrt(V) + ε) by Adam on R; s_i = |R̃[:, i]| / |R[:, i]|, one for
    each column (for APOLLO-Mini one for the tensor, `by_tensor=True`);
    W <- W - η α G diag(s) - η λ W; here with Fira's norm-growth limiter on G diag(s),
    γ = `growth` (None: without).

    `projection(k, g)` returns Pᵀ, (m, r), drawn by the caller; the sign and the order
    of its columns have no effect on s between two draws. α = `scale`.

    "AdamW" in the box is read with its bias correction. The box has no limiter; the
    text and the code do. Nothing is added to |R| ("small ε in the denominators removed
    for simplicity"). α is 1, and sqrt(128) for APOLLO-Mini.

    The authors' code multiplies by sqrt(scale) where the algorithm has α: pass
    scale=sqrt(α) for it. It has `eps_hat=True`, ε = 1e-6, `eps_norm=1e-8` added to |R|
    and to |S_{t-1}|, and decays after the step; it keeps the step's bias correction
    out of S, so the limiter sees a length without it (`eps_hat=True` does so too).
    """
    wide = Wide(theta.shape, right_if_square)
    adam = Subspace(projection, update_proj_gap, b1, b2, eps, eps_hat)
    before = None
    for k in range(steps):
        eta = at(learning_rate, k)
        g = wide(gradient(k, theta))
        r, n = adam(k, g)
        outside = np.sqrt(adam.w2) / adam.w1 if eps_hat else 1.0
        n = n / outside  # M / (sqrt(V) + ε̂), as the code has it
        axis = None if by_tensor else 0
        s = factors(n, r, axis, eps_norm)
        scaled, before = limit(g * s, before, growth, eps_norm)
        step = eta * outside * scale * wide(scaled)
        if eps_hat:
            theta = theta - step
            theta = theta - eta * at(weight_decay, k) * theta
        else:
            theta = theta - step - eta * at(weight_decay, k) * theta
        yield theta


def apollo_mini(theta, gradient, steps, **keywords):
    """APOLLO with one factor for the tensor; the paper's: rank 1, α = sqrt(128)."""
    keywords.setdefault("scale", np.sqrt(128))
    return apollo(theta, gradient, steps, by_tensor=True, **keywords)


apollo_or_adam = adam_elsewhere(apollo)


apollo_mini_or_adam = adam_elsewhere(apollo_mini)
