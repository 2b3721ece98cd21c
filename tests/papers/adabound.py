"""AdaBound: rates bounded element by element."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adabound(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    final_lr=0.1,
    gamma=1e-3,
):
    """L. Luo, Y. Xiong, Y. Liu, X. Sun, Adaptive Gradient Methods with Dynamic Bound of
    Learning Rate, ICLR 2019, arXiv:1902.09843, Algorithm 2 as the authors' code has it.

    The code departs from the listing: Adam's two corrections are in the rate before it
    is clipped, epsilon is added to the uncorrected root, there is no 1/sqrt(t), and the
    bounds close with γ where the paper has 1 - β2. It also scales `final_lr` with a
    scheduled rate, as lr_t / lr_0; here `final_lr` is a schedule of its own.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        final, close = at(final_lr, k), at(gamma, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        eta_l = final * (1 - 1 / (close * t + 1))
        eta_u = final * (1 + 1 / (close * t))
        step_size = alpha * np.sqrt(w2) / w1
        eta = np.clip(divide(step_size, np.sqrt(v) + at(eps, k)), eta_l, eta_u)
        theta = theta - eta * m
        yield theta


@trajectory
def adabound_paper(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    final_lr=0.1,
):
    """Luo et al., arXiv:1902.09843, Algorithm 2, with the paper's bounds:

        η_l(t) = η* (1 - 1 / ((1 - β2) t + 1)),  η_u(t) = η* (1 + 1 / ((1 - β2) t))
        η̂_t = Clip(α / sqrt(V_t), η_l(t), η_u(t)),  η_t = η̂_t / sqrt(t)

    η* is `final_lr` (0.1 in the paper). No epsilon, no correction, no projection.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        final = at(final_lr, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        eta_l = final * (1 - 1 / ((1 - beta2) * t + 1))
        eta_u = final * (1 + 1 / ((1 - beta2) * t))
        eta_hat = np.clip(divide(alpha, np.sqrt(v)), eta_l, eta_u)
        eta = eta_hat / np.sqrt(t)
        theta = theta - eta * m
        yield theta
