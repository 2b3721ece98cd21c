"""Padam: AMSGrad's denominator to a power."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def padam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.1,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    p=0.25,
):
    """J. Chen, D. Zhou, Y. Tang, Z. Yang, Y. Cao, Q. Gu, Closing the Generalization Gap
    of Adaptive Gradient Methods in Training Deep Neural Networks, IJCAI 2020,
    arXiv:1806.06763, Algorithm 1: x_{t+1} = x_t - α_t m_t / v̂_t^p with AMSGrad's v̂.

    Departs: the paper has no epsilon; it is added to the root as in the authors' code,
    v̂^p = (sqrt(v̂) + ε)^(2p). That code also corrects: `padam_official`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_hat = np.zeros_like(theta)
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = np.maximum(v_hat, v)
        root = np.sqrt(v_hat) + at(eps, k)
        theta = theta - alpha * divide(m, root ** (2 * at(p, k)))
        yield theta


@trajectory
def padam_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.1,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    p=0.25,
):
    """Chen et al., arXiv:1806.06763, as the authors' code: the rate is multiplied by
    Adam's sqrt(1 - β2^t) / (1 - β1^t), whatever the power p of the denominator is, so
    v is not corrected for p < 1/2. AMSGrad's maximum is over the raw averages.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_hat = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        v_hat = np.maximum(v_hat, v)
        root = np.sqrt(v_hat) + at(eps, k)
        alpha_t = alpha * np.sqrt(w2) / w1
        theta = theta - alpha_t * divide(m, root ** (2 * at(p, k)))
        yield theta
