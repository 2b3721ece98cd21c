"""Rectified Adam. ρ_t and r_t are rounded once, from 50 digits: see `exact`."""

import numpy as np

from . import exact
from .form import at, divide, trajectory


@trajectory
def radam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    threshold=5.0,
    degenerate="momentum",
):
    """L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han, On the Variance of the
    Adaptive Learning Rate and Beyond, ICLR 2020, arXiv:1908.03265, Algorithm 2.

    Departs: the average of squares decays by β2 (the paper prints 1/β2, a misprint
    that the authors' code does not have); epsilon, which the pseudo-code lacks, is
    added to sqrt(v̂), as in Adam; the paper rectifies if ρ_t > 4, the authors' code if
    ρ_t >= 5, here it is ρ_t > `threshold`. `b2` is a number: ρ_t is defined for a
    constant decay. `degenerate="skip"` takes no step where the paper has α m̂, as the
    authors' code does by default (`degenerated_to_sgd=False`).
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), b2
        g = gradient(k, theta)
        v = beta2 * v + (1 - beta2) * g**2
        m = beta1 * m + (1 - beta1) * g
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        rho = float(exact.rho(t, beta2))
        if rho > at(threshold, k):
            v_hat = v / w2
            r = float(exact.rectifier(t, beta2))
            theta = theta - alpha * r * divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        elif degenerate == "momentum":
            theta = theta - alpha * m_hat
        yield theta


@trajectory
def radam_torch(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    threshold=5.0,
    weight_decay=0.0,
    degenerate="momentum",
):
    """Liu et al., arXiv:1908.03265, Algorithm 2, with the epsilon of the authors' code
    and of the pseudo-code of torch.optim.RAdam: added to the uncorrected root,
    l_t = sqrt(1 - β2^t) / (sqrt(v_t) + ε). `weight_decay` is that page's decoupled
    kind: θ shrinks by 1 - lr λ before the step. `degenerate="skip"`, the default of the
    authors' code, does neither below the threshold.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), b2
        g = gradient(k, theta)
        v = beta2 * v + (1 - beta2) * g**2
        m = beta1 * m + (1 - beta1) * g
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1
        rho = float(exact.rho(t, beta2))
        if rho > at(threshold, k) or degenerate == "momentum":
            theta = theta - alpha * at(weight_decay, k) * theta
        if rho > at(threshold, k):
            r = float(exact.rectifier(t, beta2))
            l_t = np.sqrt(w2)
            theta = theta - alpha * r * l_t * divide(m_hat, np.sqrt(v) + at(eps, k))
        elif degenerate == "momentum":
            theta = theta - alpha * m_hat
        yield theta
