"""SNOO: SGD with Nesterov's momentum on what another optimizer has done in k steps."""

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def snoo_adam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    sync_period=28,
    outer_learning_rate=0.68,
    outer_momentum=0.37,
    released=False,
):
    """D. Kallusky, V. Rao, V. Nandavanam, H.-J. M. Shi, SNOO: Step-K Nesterov Outer
    Optimizer, 2025, arXiv:2510.15830: after every k steps of the inner optimizer from
    the slow weights,

    Δ = slow - fast;  B <- μ B + Δ;  slow <- slow - η (Δ + μ B);  fast <- slow:

    DiLoCo's outer step (arXiv:2311.08105) on one worker, with the Nesterov momentum of
    torch.optim.SGD. The inner state is kept. The authors' code (`released=True`) makes
    its first outer step after the first inner one. The inner optimizer here is Adam,
    arXiv:1412.6980.

    Returns (fast, slow): the fast weights after each step, synchronised where it was
    the last of `sync_period`, and the slow weights.
    """
    fast = slow = theta
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    outer = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, fast)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        fast = fast - at(learning_rate, k) * u
        if (k + (not released)) % sync_period == 0:
            mu = at(outer_momentum, k)
            delta = slow - fast
            outer = mu * outer + delta
            slow = slow - at(outer_learning_rate, k) * (delta + mu * outer)
            fast = slow
        yield fast, slow
