"""Changes to the direction of a step, on top of AdamW: caution, Grams, cautious decay.

The functions of arrays apply to any optimizer; the oracles have AdamW under them.
"""

import numpy as np

from .form import at, divide, trajectory


def cautious_mean(u, g, eps=1e-8):
    """K. Liang, L. Chen, B. Liu, Q. Liu, Cautious Optimizers: Improving Training with
    One Line of Code, arXiv:2411.16085, Algorithm 1: with m = (u ⊙ g > 0) of one tensor,
    u ⊙ m / (mean(m) + eps). The paper gives `eps` no value.
    """
    mask = (u * g > 0).astype(np.float64)
    return u * mask / (np.mean(mask) + eps)


def cautious_counted(u, g):
    """Liang et al., arXiv:2411.16085, Algorithm 2 (C-AdamW) and α = dim / (nnz + 1) of
    its text: φ = I(u ⊙ g > 0) of one tensor, u ⊙ φ d / (|φ|_0 + 1).

    The authors' first code, and still that of their C-Lion. Some versions print >= 0 in
    Algorithm 2; an element with u g = 0 would then count as kept, and move if only g
    is 0.
    """
    mask = (u * g > 0).astype(np.float64)
    return u * mask * (mask.size / (np.sum(mask) + 1))


def cautious_clamped(u, g, smallest=1e-3):
    """Liang et al., arXiv:2411.16085, as their later AdamW and timm have it: u ⊙ m /
    max(mean(m), 1e-3). The scaled mask has mean 1 unless under one element in a
    thousand is kept.
    """
    mask = (u * g > 0).astype(np.float64)
    return u * mask / np.maximum(np.mean(mask), smallest)


def grams(u, g):
    """Y. Cao, X. Li, Z. Song, Grams: Gradient Descent with Adaptive Momentum Scaling,
    arXiv:2412.17107: sign(g) ⊙ |u|."""
    return np.sign(g) * np.abs(u)


def cautious_decay(u, theta, weight_decay):
    """L. Chen, J. Li, K. Liang, B. Su, C. Xie, N. W. Pierse, C. Liang, N. Lao, Q. Liu,
    Cautious Weight Decay, arXiv:2510.12402, Algorithm 1: u + λ I(u ⊙ x >= 0) x."""
    return u + weight_decay * (u * theta >= 0) * theta


@trajectory
def adamw_directed(
    theta,
    gradient,
    steps,
    *,
    direction,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    decay_after=False,
):
    """AdamW (arXiv:1412.6980, Algorithm 1; decay as arXiv:1711.05101) whose Adam step u
    becomes `direction(u, g)` before decay and rate.

    The decay is λ θ_{t-1} within the step, or with `decay_after` θ shrinks by 1 - η λ
    after it, as C-AdamW's Algorithm 2 and Grams' have it.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        u = direction(u, g)
        if decay_after:
            theta = theta - alpha * u
            theta = theta - alpha * lam * theta
        else:
            theta = theta - alpha * (u + lam * theta)
        yield theta


def cautious_adamw(theta, gradient, steps, *, smallest=1e-3, **adamw):
    """AdamW with `cautious_clamped`, the decay within the step: the later code's."""

    def direction(u, g):
        return cautious_clamped(u, g, smallest)

    return adamw_directed(theta, gradient, steps, direction=direction, **adamw)


def cautious_adamw_mean(theta, gradient, steps, *, mask_eps=1e-8, **adamw):
    """AdamW with `cautious_mean`, the paper's one line, the decay within the step."""

    def direction(u, g):
        return cautious_mean(u, g, mask_eps)

    return adamw_directed(theta, gradient, steps, direction=direction, **adamw)


def cautious_adamw_paper(theta, gradient, steps, **adamw):
    """C-AdamW, Liang et al., arXiv:2411.16085, Algorithm 2: `cautious_counted`, and the
    decay after the step."""
    adamw = {"direction": cautious_counted, "decay_after": True, **adamw}
    return adamw_directed(theta, gradient, steps, **adamw)


def grams_adamw(theta, gradient, steps, *, decay_after=True, **adamw):
    """Grams, Cao, Li & Song, arXiv:2412.17107, the algorithm with weight decay: the
    decay after the step. With `decay_after=False` it is within it."""
    adamw = {"direction": grams, "decay_after": decay_after, **adamw}
    return adamw_directed(theta, gradient, steps, **adamw)


@trajectory
def grams_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-6,
    weight_decay=0.0,
):
    """Cao, Li & Song, arXiv:2412.17107, as the authors' package has it: the decay comes
    before the step, and epsilon is added to the uncorrected root ("hat")."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        lr = at(learning_rate, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        theta = theta - lr * at(weight_decay, k) * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        step_size = lr * np.sqrt(w2) / w1
        u = np.sign(g) * np.abs(m)
        theta = theta - step_size * divide(u, np.sqrt(v) + at(eps, k))
        yield theta


@trajectory
def cautious_lion(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-4,
    b1=0.9,
    b2=0.99,
    weight_decay=0.0,
    direction=cautious_counted,
):
    """C-Lion, Liang et al., arXiv:2411.16085: Lion (arXiv:2302.06675, Algorithm 2),
    whose sign(c) becomes `direction(sign(c), g)`; counted, as in the authors' code. The
    decay is within the step."""
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        u = direction(np.sign(beta1 * m + (1 - beta1) * g), g)
        theta = theta - eta * (u + lam * theta)
        m = beta2 * m + (1 - beta2) * g
        yield theta


@trajectory
def adamw_cautious_decay(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=1e-2,
):
    """AdamW with Cautious Weight Decay, Chen et al., arXiv:2510.12402, Algorithm 1 with
    Adam's u: x - η (u + λ I(u ⊙ x >= 0) x). Where u = 0 the decay acts."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - eta * cautious_decay(u, theta, lam)
        yield theta
