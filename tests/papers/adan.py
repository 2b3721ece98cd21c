"""Adan: a Nesterov step by the difference of two gradients."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adan(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.98,
    b2=0.92,
    b3=0.99,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
):
    """X. Xie, P. Zhou, H. Li, Z. Lin, S. Yan, Adan: Adaptive Nesterov Momentum
    Algorithm for Faster Optimizing Deep Models, arXiv:2208.06677, Algorithm 1, without
    the restart.

    The paper's β are 1 - `b`: 0.02, 0.08, 0.01. It starts from m_0 = g_0, v_0 = 0,
    n_0 = g_0² instead of correcting, and its decay is proximal, (1 + λ η)^{-1} around
    the whole step. The versions of the paper place ε both under and beside the root:
    `eps_root` and `eps`. The authors' code is `adan_official`.
    """
    m = v = n = before = None
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2, beta3 = 1 - at(b1, k), 1 - at(b2, k), 1 - at(b3, k)
        g = gradient(k, theta)
        if k == 0:
            m, v, n = g, np.zeros_like(g), g**2
        else:
            m = (1 - beta1) * m + beta1 * g
            v = (1 - beta2) * v + beta2 * (g - before)
            n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * (g - before)) ** 2
        root = np.sqrt(n + at(eps_root, k)) + at(eps, k)
        step = eta * divide(m + (1 - beta2) * v, root)
        theta = (theta - step) / (1 + lam * eta)
        before = g
        yield theta


@trajectory
def adan_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.98,
    b2=0.92,
    b3=0.99,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
    no_prox=False,
):
    """Xie et al., arXiv:2208.06677, as the authors' code has it: all three averages
    start at zero and are corrected, and the first difference is zero (the gradient
    before the first is the first).

    `no_prox` is that code's: θ shrinks by 1 - lr λ before the step, which is the
    decay added to the step, instead of the division by 1 + lr λ after it. Departs:
    `eps_root` under the root, 0 in the code.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    n = np.zeros_like(theta)
    w1 = w2 = w3 = 0.0  # 1 - Π β_i
    before = None
    for k in range(steps):
        lr, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2, beta3 = at(b1, k), at(b2, k), at(b3, k)
        g = gradient(k, theta)
        diff = np.zeros_like(g) if before is None else g - before
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * diff
        n = beta3 * n + (1 - beta3) * (g + beta2 * diff) ** 2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        w3 = beta3 * w3 + (1 - beta3)
        root = np.sqrt(n / w3 + at(eps_root, k)) + at(eps, k)
        step = lr * divide(m / w1 + beta2 * v / w2, root)
        if no_prox:
            theta = theta * (1 - lr * lam) - step
        else:
            theta = (theta - step) / (1 + lr * lam)
        before = g
        yield theta
