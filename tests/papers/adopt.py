"""ADOPT: Adam that divides by the squares of the steps before."""

import numpy as np

from .form import at, divide, trajectory


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
