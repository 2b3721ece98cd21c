"""StableAdamW: the rate of each tensor clipped."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def stable_adamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.9,
    b2=0.99,
    eps=1e-6,
    weight_decay=0.0,
):
    """M. Wortsman, T. Dettmers, L. Zettlemoyer, et al., Stable and low-precision
    training for large-scale vision-language models, NeurIPS 2023, arXiv:2304.13013,
    Algorithm 2 (StableAdamW).

    The correction is in the decays, β̂ = β (1 - β^{t-1}) / (1 - β^t), so v and u are
    the corrected averages themselves; β̂ = 0 on the first step. The letters are the
    paper's: v is the first moment and u the second. RMS is of the gradient, not of the
    update. With a changing decay, 1 - β^t is 1 - Π β_i.
    """
    v = np.zeros_like(theta)
    u = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        epsilon, lam = at(eps, k), at(weight_decay, k)
        g = gradient(k, theta)
        before1, before2 = w1, w2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        beta1_hat = beta1 * before1 / w1
        beta2_hat = beta2 * before2 / w2
        v = beta1_hat * v + (1 - beta1_hat) * g
        u = beta2_hat * u + (1 - beta2_hat) * g**2
        rms = np.sqrt(np.mean(divide(g**2, np.maximum(u, epsilon**2))))
        eta = alpha / max(1.0, rms)
        theta = theta - eta * lam * theta - eta * divide(v, np.sqrt(u) + epsilon)
        yield theta
