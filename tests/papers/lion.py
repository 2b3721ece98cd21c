"""Lion: the sign of a mixture of the gradient and its average."""

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
