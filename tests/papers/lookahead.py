"""Lookahead: every few steps a share of the way to where they lead."""

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def lookahead_sgd(
    theta, gradient, steps, *, learning_rate=0.1, sync_period=5, slow_step_size=0.5
):
    """M. R. Zhang, J. Lucas, G. Hinton, J. Ba, Lookahead Optimizer: k steps forward, 1
    step back, NeurIPS 2019, arXiv:1907.08610, Algorithm 1 with SGD as the inner
    optimizer. No departure.

    Returns (fast, slow): the fast weights after each step, synchronised where it was
    the last of `sync_period`, and the slow weights.
    """
    fast = slow = theta
    for k in range(steps):
        fast = fast - at(learning_rate, k) * gradient(k, fast)
        if (k + 1) % sync_period == 0:
            slow = slow + at(slow_step_size, k) * (fast - slow)
            fast = slow
        yield fast, slow


@one_vector
def lookahead_adam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    sync_period=5,
    slow_step_size=0.5,
    reset_state=False,
):
    """Zhang et al., arXiv:1907.08610, Algorithm 1, with Adam, arXiv:1412.6980, as the
    inner optimizer. Returns (fast, slow), as `lookahead_sgd`.

    The inner state is kept over the synchronisation ("maintaining"); with `reset_state`
    moments and corrections start anew ("resetting"). The paper compares the two.
    """
    fast = slow = theta
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
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
        if (k + 1) % sync_period == 0:
            slow = slow + at(slow_step_size, k) * (fast - slow)
            fast = slow
            if reset_state:
                m, v = np.zeros_like(m), np.zeros_like(v)
                w1 = w2 = 0.0
        yield fast, slow
