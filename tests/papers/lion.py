"""Methods whose step is bounded by construction: Lion, Signum, Adam-atan2."""

import numpy as np

from .form import at, trajectory


@trajectory
def lion(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-4,
    b1=0.9,
    b2=0.99,
    weight_decay=1e-3,
):
    """X. Chen, C. Liang, D. Huang, E. Real, K. Wang, Y. Liu, H. Pham, X. Dong,
    T. Luong, C.-J. Hsieh, Y. Lu, Q. V. Le, Symbolic Discovery of Optimization
    Algorithms, NeurIPS 2023, arXiv:2302.06675, Algorithm 2. No departure; sign(0) is 0.
    """
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        c = beta1 * m + (1 - beta1) * g
        theta = theta - eta * (np.sign(c) + lam * theta)
        m = beta2 * m + (1 - beta2) * g
        yield theta


@trajectory
def signum(theta, gradient, steps, *, learning_rate=1e-4, beta=0.9, weight_decay=0.0):
    """J. Bernstein, Y.-X. Wang, K. Azizzadenesheli, A. Anandkumar, signSGD: Compressed
    Optimisation for Non-Convex Problems, ICML 2018, arXiv:1802.04434, Algorithm 2
    (Signum): m = β m + (1 - β) g, x = x - δ sign(m). sign(0) is 0.

    Departs: `weight_decay`, which the pseudo-code lacks, is added to the sign before
    the rate, as J. Su does in Tiger (2023). A correction would change nothing: the sign
    of m / (1 - β^t) is that of m.
    """
    m = np.zeros_like(theta)
    for k in range(steps):
        delta, lam, b = at(learning_rate, k), at(weight_decay, k), at(beta, k)
        g = gradient(k, theta)
        m = b * m + (1 - b) * g
        theta = theta - delta * (np.sign(m) + lam * theta)
        yield theta


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
