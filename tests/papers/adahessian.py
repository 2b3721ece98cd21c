"""AdaHessian: Adam with an estimate of the Hessian's diagonal for the gradient.

The estimate is given: `hessian(k, theta)`, called only at the steps that use it.
"""

import numpy as np

from .form import at, divide, trajectory


def hutchinson_estimate(u, hessian_times_u):
    """u ⊙ (H u) with u from N(0, I) or Rademacher's ±1: Sophia, Algorithm 1, and
    AdaHessian, eq. for diag(H) = E[z ⊙ (H z)]."""
    return u * hessian_times_u


def spatial_average(d):
    """D^(s): the mean over the block that each element shares, as the authors' code
    forms blocks of a whole row of a matrix, a channel of a 3-D kernel, and the last two
    axes of a 4-D kernel. A vector is left as it is.

    The paper averages D itself, signs and all; the code averages |D|.
    """
    axes = {0: (), 1: (), 2: (1,), 3: (2,), 4: (2, 3)}[d.ndim]
    return np.broadcast_to(np.mean(d, axis=axes, keepdims=True), d.shape) if axes else d


@trajectory
def adahessian(
    theta,
    gradient,
    steps,
    *,
    hessian,
    learning_rate=0.15,
    b1=0.9,
    b2=0.999,
    eps=1e-4,
    weight_decay=0.0,
    hessian_power=1.0,
    average=spatial_average,
    magnitude=False,
):
    """Z. Yao, A. Gholami, S. Shen, M. Mustafa, K. Keutzer, M. W. Mahoney, ADAHESSIAN:
    An Adaptive Second Order Optimizer for Machine Learning, AAAI 2021,
    arXiv:2006.00719, Algorithm 1, with
    v̄_t = (sqrt((1 - β2) Σ β2^{t-i} D_i D_i / (1 - β2^t)))^k.

    `average` is the spatial averaging (`lambda d: d` for none). Departs: ε, which the
    pseudo-code lacks, is added after the power, and `weight_decay` to the step before
    the rate, both as the authors' code does. That code averages |D|: `magnitude`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        d = np.asarray(hessian(k, theta), np.float64)
        d_s = average(np.abs(d) if magnitude else d)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * d_s * d_s
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        v_bar = np.sqrt(v / w2) ** at(hessian_power, k)
        theta = theta - eta * (divide(m / w1, v_bar + at(eps, k)) + lam * theta)
        yield theta
