"""Adam with its operations in another order: LaProp divides before it averages, ADOPT
divides by the squares of the steps before."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def laprop(
    theta,
    gradient,
    steps,
    *,
    learning_rate=4e-4,
    b1=0.9,
    b2=0.999,
    eps=1e-15,
    weight_decay=0.0,
):
    """L. Ziyin, Z. T. Wang, M. Ueda, LaProp: Separating Momentum and Adaptivity in
    Adam, arXiv:2002.04839, Algorithm 1.

    The paper's β1, β2 are μ, ν. Departs: `weight_decay`, which the pseudo-code lacks,
    is added to the step as in AdamW, then the rate. The authors' code keeps the rate
    inside the average: `laprop_official`.
    """
    n = np.zeros_like(theta)
    m = np.zeros_like(theta)
    c_n = c_m = 0.0  # 1 - Π ν_i, 1 - Π μ_i
    for k in range(steps):
        lam, mu, nu = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        n = nu * n + (1 - nu) * g**2
        c_n = nu * c_n + (1 - nu)
        m = mu * m + (1 - mu) * divide(g, np.sqrt(n / c_n) + at(eps, k))
        c_m = mu * c_m + (1 - mu)
        theta = theta - lam * (m / c_m + at(weight_decay, k) * theta)
        yield theta


@trajectory
def laprop_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=4e-4,
    b1=0.9,
    b2=0.999,
    eps=1e-15,
    weight_decay=0.0,
):
    """Ziyin, Wang & Ueda, arXiv:2002.04839, as the authors' code has it, and as its
    README, "Additional Details compared with the Paper", says.

    Differs from the paper when the rate changes: the rate multiplies each normalised
    gradient as it enters the average, and the correction is the average of the rates
    so weighted over the present rate, which is 1 at a rate of 0. Weight decay comes
    after the step, on the new θ, and is not multiplied by the rate.
    """
    n = np.zeros_like(theta)
    m = np.zeros_like(theta)
    average_of_rates = c_n = 0.0
    for k in range(steps):
        lr, mu, nu = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        n = nu * n + (1 - nu) * g**2
        average_of_rates = mu * average_of_rates + (1 - mu) * lr
        c_n = nu * c_n + (1 - nu)
        correction = average_of_rates / lr if lr != 0 else 1.0
        m = mu * m + (1 - mu) * lr * divide(g, np.sqrt(n / c_n) + at(eps, k))
        theta = theta - m / correction
        theta = theta - at(weight_decay, k) * theta
        yield theta


def adopt_clip_value(t):
    """c_t = t^{1/4}, the clip of ADOPT: the authors' default, and the theory's."""
    return t**0.25


@trajectory
def adopt(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.9999,
    eps=1e-6,
    weight_decay=0.0,
    use_clipping=True,
    clip_value_fn=adopt_clip_value,
):
    """S. Taniguchi, K. Harada, G. Minegishi, Y. Oshima, S. C. Jeong, G. Nagahara,
    T. Iiyama, M. Suzuki, Y. Iwasawa, Y. Matsuo, ADOPT: Modified Adam Can Converge with
    Any β2 with the Optimal Rate, NeurIPS 2024, arXiv:2411.02853v2 and later, Algorithm
    2 (Clipped ADOPT), and with `use_clipping=False` without its clip.

    v_0 = g_0², so the first gradient moves nothing: step k = 0 here is the paper's
    initialisation and k = t its step t. No correction of either average. Departs:
    `weight_decay` (not in the pseudo-code) is the decoupled kind of the authors' code,
    θ shrinks by 1 - lr λ before the step, and not at k = 0.
    """
    g_0 = gradient(0, theta)
    m = np.zeros_like(theta)
    v = g_0**2
    if steps:
        yield theta
    for t in range(1, steps):
        alpha, beta1, beta2 = at(learning_rate, t), at(b1, t), at(b2, t)
        g = gradient(t, theta)
        theta = theta - alpha * at(weight_decay, t) * theta
        normed = divide(g, np.maximum(np.sqrt(v), at(eps, t)))
        if use_clipping:
            c = clip_value_fn(t)
            normed = np.clip(normed, -c, c)
        m = beta1 * m + (1 - beta1) * normed
        theta = theta - alpha * m
        v = beta2 * v + (1 - beta2) * g**2
        yield theta


@trajectory
def adopt_first_version(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.9999,
    eps=1e-6,
):
    """Taniguchi et al., arXiv:2411.02853v1, Algorithm 2 (ADOPT), and the authors' code
    of that time: no clip, and m_1 = g_1 / max(sqrt(v_0), ε) without the factor 1 - β1.

    It is not `adopt(use_clipping=False)`, whose m_1 is 1 - β1 times this one.
    """
    g_0 = gradient(0, theta)
    v = g_0**2
    m = np.zeros_like(theta)
    if steps:
        yield theta
    for t in range(1, steps):
        alpha, beta1, beta2 = at(learning_rate, t), at(b1, t), at(b2, t)
        g = gradient(t, theta)
        normed = divide(g, np.maximum(np.sqrt(v), at(eps, t)))
        m = normed if t == 1 else beta1 * m + (1 - beta1) * normed
        theta = theta - alpha * m
        v = beta2 * v + (1 - beta2) * g**2
        yield theta
