"""NovoGrad: one second moment for each tensor."""

import numpy as np

from .form import at, divide, trajectory
from .lamb import norm


@trajectory
def novograd(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.95,
    b2=0.98,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
    averaging=False,
):
    """B. Ginsburg, P. Castonguay, O. Hrinchuk, et al., Stochastic Gradient Methods with
    Layer-wise Adaptive Moments for Training of Deep Networks, 2019, arXiv:1905.11286,
    Algorithm 1: v_1 = |g_1|², m_1 = g_1 / sqrt(v_1) + d w_1, then
    v <- β2 v + (1 - β2)|g|², m <- β1 m + (g / (sqrt(v) + ε) + d w), w <- w - λ m.

    Departs: the paper's line for the first moment has no ε; here every step has.
    The decay is in the moment, so it is decoupled from v and not from m.
    `averaging=True` multiplies what enters m by 1 - β1 (in the authors' code,
    `grad_averaging`). The authors' code has ε inside the root, g / sqrt(v + ε): that is
    `eps=0, eps_root=ε`. It also starts v again whenever v is exactly 0, so that
    leading zero gradients do not count as the first; the paper, and this, start at 1.

    `optax.novograd` is Algorithm 1 with b1=0.9, b2=0.25, eps=1e-6 for defaults.
    """
    v = 0.0
    m = np.zeros_like(theta)
    for k in range(steps):
        lam, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        d = at(weight_decay, k)
        g = gradient(k, theta)
        squared = norm(g) ** 2
        v = squared if k == 0 else beta2 * v + (1 - beta2) * squared
        entering = divide(g, np.sqrt(v + at(eps_root, k)) + at(eps, k)) + d * theta
        m = beta1 * m + (1 - beta1 if averaging else 1.0) * entering
        theta = theta - lam * m
        yield theta
