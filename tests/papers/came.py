"""CAME: Adafactor with a confidence in the step, factored as its second moment is."""

import numpy as np

from .adafactor import columns, outer, rms, rows
from .form import at, divide, trajectory


@trajectory
def came(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    b3=0.9999,
    eps=1e-30,
    eps_instability=1e-16,
    clipping_threshold=1.0,
    weight_decay=0.0,
):
    """Y. Luo, X. Ren, Z. Zheng, et al., CAME: Confidence-guided Adaptive Memory
    Efficient Optimization, ACL 2023, arXiv:2307.02047, Algorithm 2:

    r, c: factors of EMA(G² + ε1), β2;  Û = G / sqrt(V), clipped to RMS d;
    M: EMA of Û, β1;  R, C: factors of EMA((Û - M)² + ε2), β3;
    θ <- θ - η M / sqrt(S),  S = R C / 1ᵀR.

    Nothing is corrected for the bias. The algorithm has matrices only. For a vector the
    authors' code keeps v whole and steps along M, without confidence; the decay is
    decoupled and first, θ <- θ - η λ θ. Both are here; neither is in the algorithm.
    """
    factor = theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    big_r = np.zeros_like(rows(theta)) if factor else None
    big_c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, d = at(learning_rate, k), at(clipping_threshold, k)
        beta1, beta2, beta3 = at(b1, k), at(b2, k), at(b3, k)
        g = gradient(k, theta)
        squared = g**2 + at(eps, k)
        if factor:
            r = beta2 * r + (1 - beta2) * rows(squared)
            c = beta2 * c + (1 - beta2) * columns(squared)
            v = outer(r, c)
        else:
            v = beta2 * v + (1 - beta2) * squared
        u = divide(g, np.sqrt(v))
        u_hat = u / max(1.0, rms(u) / d)
        m = beta1 * m + (1 - beta1) * u_hat
        theta = theta - eta * at(weight_decay, k) * theta
        if factor:
            instability = (u_hat - m) ** 2 + at(eps_instability, k)
            big_r = beta3 * big_r + (1 - beta3) * rows(instability)
            big_c = beta3 * big_c + (1 - beta3) * columns(instability)
            s = outer(big_r, big_c)
            theta = theta - eta * divide(m, np.sqrt(s))
        else:
            theta = theta - eta * m
        yield theta
