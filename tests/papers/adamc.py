"""AdamC: AdamW with its decay corrected by the rate."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adamc(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=1e-2,
    max_learning_rate=None,
):
    """A. Defazio, Why Gradients Rapidly Increase Near the End of Training,
    arXiv:2506.02285, the AdamC algorithm, for a normalised layer: AdamW whose decay is
    multiplied by γ_t² / γ_max where AdamW has γ_t.

    γ_max is `max_learning_rate`, the largest that the schedule takes; a constant rate
    is its own. Layers that are not normalised keep AdamW's decay (`adamw`).
    """
    if max_learning_rate is None and callable(learning_rate):
        raise ValueError("adamc: a scheduled rate needs `max_learning_rate`.")
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        gamma, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        gamma_max = gamma if max_learning_rate is None else at(max_learning_rate, k)
        lam = at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        v_hat = v / w2
        u = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        theta = theta - gamma * u - gamma**2 / gamma_max * lam * theta
        yield theta
