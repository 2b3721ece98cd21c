"""Adam in its published forms: where epsilon stands, and where decay is added."""

import numpy as np

from .form import at, divide, l2, trajectory


@trajectory
def adam(theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015,
    arXiv:1412.6980, Algorithm 1. No departure.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        theta = theta - alpha * divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        yield theta


@trajectory
def adam_eps_hat(
    theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8
):
    """Kingma & Ba, arXiv:1412.6980, end of section 2: "the efficiency of algorithm 1
    can be improved upon by changing the order of computation",

        α_t = α sqrt(1 - β2^t) / (1 - β1^t),  θ_t = θ_{t-1} - α_t m_t / (sqrt(v_t) + ε̂)

    `eps` is ε̂, which acts as ε = ε̂ / sqrt(1 - β2^t) would in Algorithm 1.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        alpha_t = alpha * np.sqrt(w2) / w1
        theta = theta - alpha_t * divide(m, np.sqrt(v) + at(eps, k))
        yield theta


@trajectory
def adam_eps_root(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=0.0,
    eps_root=1e-8,
):
    """Algorithm 1 with sqrt(v̂ + eps_root) + eps for the denominator.

    No pseudo-code of Adam has it; methods that differentiate through the update do,
    since the root is then smooth at 0. Everything else is arXiv:1412.6980.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        root = np.sqrt(v / w2 + at(eps_root, k)) + at(eps, k)
        theta = theta - alpha * divide(m / w1, root)
        yield theta


@trajectory
def adam_eps_max(
    theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8
):
    """Algorithm 1 with max(sqrt(v̂), eps) for the denominator, as Taniguchi et al.
    (ADOPT, arXiv:2411.02853) guard theirs. Everything else is arXiv:1412.6980.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        root = np.maximum(np.sqrt(v / w2), at(eps, k))
        theta = theta - alpha * divide(m / w1, root)
        yield theta


def adam_l2(
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
    """I. Loshchilov, F. Hutter, Decoupled Weight Decay Regularization, ICLR 2019,
    arXiv:1711.05101, Algorithm 2, "Adam with L2 regularization": line 6 is
    g_t = ∇f_t(θ_{t-1}) + λ θ_{t-1}. No schedule multiplier beyond `learning_rate`.
    """
    return adam(
        theta,
        l2(gradient, weight_decay),
        steps,
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
    )


@trajectory
def adamw(
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
    """Loshchilov & Hutter, arXiv:1711.05101, Algorithm 2 (AdamW).

    Departs in line 12: the decay too is multiplied by the rate, as the libraries have
    it. The paper's own form, independent of the rate, is `adamw_independent`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        lam = at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        u = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        theta = theta - alpha * (u + lam * theta)
        yield theta


@trajectory
def adamw_independent(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=1e-2,
    schedule=1.0,
):
    """Loshchilov & Hutter, arXiv:1711.05101, Algorithm 2 (AdamW), no departure: line
    12 is θ_t = θ_{t-1} - η_t (α m̂_t / (sqrt(v̂_t) + ε) + λ θ_{t-1}), where η_t is
    `schedule` and α is `learning_rate`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        lam = at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        eta = at(schedule, k)
        u = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        theta = theta - eta * (alpha * u + lam * theta)
        yield theta
