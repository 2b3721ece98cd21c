"""Adam-atan2: the arctangent of both moments for their quotient."""

import numpy as np

from .form import at, trajectory


@trajectory
def adam_atan2(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.99,
    a=1.27,
    b=1.0,
    weight_decay=0.0,
):
    """K. Everett, L. Xiao, M. Wortsman, A. A. Alemi, R. Novak, P. J. Liu, I. Gur,
    J. Sohl-Dickstein, L. P. Kaelbling, J. Lee, J. Pennington, Scaling Exponents Across
    Parameterizations and Optimizers, ICML 2024, arXiv:2407.05872, Adam-atan2:

        θ_t = θ_{t-1} - α a atan2(m̂_t, b sqrt(v̂_t))

    There is no epsilon, and atan2(0, 0) is 0. The rest is Adam's Algorithm 1,
    arXiv:1412.6980. Departs: `weight_decay` is added to the step, as in AdamW. The
    defaults of `b2`, `a` and `b` are those of the code that people use.
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
        m_hat = m / w1
        v_hat = v / w2
        u = at(a, k) * np.arctan2(m_hat, at(b, k) * np.sqrt(v_hat))
        theta = theta - alpha * (u + lam * theta)
        yield theta
