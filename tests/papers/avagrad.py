"""AvaGrad: a denominator that has not seen the gradient that it divides."""

import numpy as np

from .form import at, trajectory


@trajectory
def avagrad(theta, gradient, steps, *, learning_rate=0.1, b1=0.9, b2=0.999, eps=0.1):
    """P. Savarese, D. McAllester, S. Babu, M. Maire, Domain-independent Dominance of
    Adaptive Methods, CVPR 2021, arXiv:1912.01823, Algorithm 2 (AvaGrad):

        η_t = 1 / (sqrt(v_{t-1}) + ε)
        w_{t+1} = w_t - α η_t / |η_t / sqrt(d)|_2 m_t,  then v_t from g_t; v_0 = 0

    No departure: nothing is corrected and the first step is plain, α m_1. The norm is
    over all d parameters: give a list of leaves to couple them. `eps` must be positive.
    The authors' code differs: `avagrad_official`.
    """
    leaves = theta if isinstance(theta, list) else [theta]
    d = sum(leaf.size for leaf in leaves)
    m = [np.zeros_like(leaf) for leaf in leaves]
    v = [np.zeros_like(leaf) for leaf in leaves]
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = _gradients(gradient, k, theta, leaves)
        m = [beta1 * m + (1 - beta1) * g for m, g in zip(m, g, strict=True)]
        eta = [1 / (np.sqrt(v) + at(eps, k)) for v in v]
        norm = np.sqrt(sum(np.sum(eta**2) for eta in eta) / d)
        leaves = [
            w - alpha * eta / norm * m for w, eta, m in zip(leaves, eta, m, strict=True)
        ]
        v = [beta2 * v + (1 - beta2) * g**2 for v, g in zip(v, g, strict=True)]
        yield leaves if isinstance(theta, list) else leaves[0]


@trajectory
def avagrad_official(
    theta, gradient, steps, *, learning_rate=0.1, b1=0.9, b2=0.999, eps=0.1
):
    """Savarese et al., arXiv:1912.01823, as the authors' code, which departs from
    Algorithm 2: the first step is skipped; m_t and v_{t-1} are corrected as in Adam;
    and the norm that divides step t is of sqrt(v_{t-2} / (1 - β2^(t-1))) + ε, one
    average behind the η_t that it should normalise.
    """
    leaves = theta if isinstance(theta, list) else [theta]
    d = sum(leaf.size for leaf in leaves)
    m = [np.zeros_like(leaf) for leaf in leaves]
    v = [np.zeros_like(leaf) for leaf in leaves]
    w1 = w2 = 0.0  # 1 - Π β_i
    gamma = 0.0  # 1 / norm, of the step before
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = _gradients(gradient, k, theta, leaves)
        m = [beta1 * m + (1 - beta1) * g for m, g in zip(m, g, strict=True)]
        w1 = beta1 * w1 + (1 - beta1)
        if t > 1:
            eta = [1 / (np.sqrt(v / w2) + at(eps, k)) for v in v]
            leaves = [
                w - alpha * gamma * eta * m / w1
                for w, eta, m in zip(leaves, eta, m, strict=True)
            ]
        w2 = beta2 * w2 + (1 - beta2)
        stale = [1 / (np.sqrt(v / w2) + at(eps, k)) for v in v]
        gamma = 1 / np.sqrt(sum(np.sum(eta**2) for eta in stale) / d)
        v = [beta2 * v + (1 - beta2) * g**2 for v, g in zip(v, g, strict=True)]
        yield leaves if isinstance(theta, list) else leaves[0]


def _gradients(gradient, k, theta, leaves):
    if isinstance(theta, list):
        return gradient(k, leaves)
    return [gradient(k, leaves[0])]
