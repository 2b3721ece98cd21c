"""Methods that move the point at which something else is done: Lookahead, SAM, and the
average of the parameters."""

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


def ascent(g, theta, rho, adaptive=False):
    """ε̂(w) of SAM for p = 2, ρ g / |g|, and of ASAM, ρ T² g / |T g| with T = |w|
    (J. Kwon et al., ICML 2021, arXiv:2102.11600). The norm is over the whole model."""
    scale = np.abs(theta) if adaptive else 1.0
    return rho * divide(scale**2 * g, np.sqrt(np.sum((scale * g) ** 2)))


@one_vector
def sam_sgd(theta, gradient, steps, *, learning_rate=0.1, rho=0.05, adaptive=False):
    """P. Foret, A. Kleiner, H. Mobahi, B. Neyshabur, Sharpness-Aware Minimization for
    Efficiently Improving Generalization, ICLR 2021, arXiv:2010.01412, Algorithm 1: the
    gradient of the same batch k at w + ε̂(w), applied at w. No departure."""
    for k in range(steps):
        e = ascent(gradient(k, theta), theta, at(rho, k), adaptive)
        g = gradient(k, theta + e)
        theta = theta - at(learning_rate, k) * g
        yield theta


@one_vector
def sam_adam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    rho=0.05,
    adaptive=False,
):
    """Foret et al., arXiv:2010.01412, Algorithm 1 with Adam, arXiv:1412.6980, in the
    place of the last line's SGD: its moments see g at w + ε̂(w) only."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        e = ascent(gradient(k, theta), theta, at(rho, k), adaptive)
        g = gradient(k, theta + e)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - at(learning_rate, k) * u
        yield theta


@one_vector
def adam_averaged(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    decay=0.999,
):
    """D. P. Kingma, J. Ba, Adam, arXiv:1412.6980, section 7.2, "Temporal averaging",
    over Algorithm 1: θ̄_t = β2 θ̄_{t-1} + (1 - β2) θ_t from θ̄_0 = 0, and θ̂_t = θ̄_t /
    (1 - β2^t), where `decay` is that β2. Returns (θ, θ̂). θ_0 has no weight in it.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    mean = np.zeros_like(theta)
    w1 = w2 = w = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2, beta = at(b1, k), at(b2, k), at(decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - at(learning_rate, k) * u
        mean = beta * mean + (1 - beta) * theta
        w = beta * w + (1 - beta)
        yield theta, mean / w
