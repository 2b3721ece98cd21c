"""AdamD: Adam without the correction of the first moment."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adamd(theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """J. St John, AdamD: Improved bias-correction in Adam, arXiv:2110.10828: Adam's
    Algorithm 1 (arXiv:1412.6980) without the correction of m_t. v_t keeps its own, so
    the first steps are shorter than α.

    Departs from the paper's efficient form, α_t = α sqrt(1 - β2^t), only in epsilon,
    which is added to the corrected root.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w2 = 0.0  # 1 - Π β2
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w2 = beta2 * w2 + (1 - beta2)
        v_hat = v / w2
        theta = theta - alpha * divide(m, np.sqrt(v_hat) + at(eps, k))
        yield theta
