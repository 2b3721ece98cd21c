"""KL-SOAP: SOAP in the eigenbases of factors that minimise a KL divergence."""

import numpy as np

from .form import at, divide, trajectory
from .shampoo import along, in_blocks, unfold
from .soap import eigenbasis, rotate, rotate_back


def whitened(g, axis, bases, values):
    """G (Q Diag(λ)^-1 Qᵀ along all other axes) Gᵀ, of one axis against the others."""
    x = g
    for j in set(range(g.ndim)) - {axis}:
        x = along(x, j, bases[j] @ np.diag(1 / values[j]) @ bases[j].T)
    return unfold(x, axis) @ unfold(g, axis).T


@trajectory
def kl_soap(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-4,
    b1=0.9,
    b2=0.98,
    shampoo_beta=None,
    eps=1e-8,
    weight_decay=0.0,
    precondition_frequency=10,
    init_factor=0.1,
    max_clamp_value=4000,
    bias_correction=True,
    decay_after=False,
    in_turn=False,
):
    """W. Lin, S. C. Lowe, F. Dangel, R. Eschenhagen, Z. Xu, R. B. Grosse, Understanding
    and Improving Shampoo and SOAP via Kullback-Leibler Minimization, ICLR 2026,
    arXiv:2509.03378: for G of shape (d_a, d_b), SOAP (tests/papers/soap.py) but for

    S_a <- β S_a + (1 - β) G Q_b Diag(λ_b)^-1 Q_bᵀ Gᵀ / d_b;
    S_b <- β S_b + (1 - β) Gᵀ Q_a Diag(λ_a)^-1 Q_aᵀ G / d_a;
    λ_a <- β λ_a + (1 - β) diag(Q_aᵀ G Q_b Diag(λ_b)^-1 Q_bᵀ Gᵀ Q_a) / d_b;
    λ_b <- β λ_b + (1 - β) diag(Q_bᵀ Gᵀ Q_a Diag(λ_a)^-1 Q_aᵀ G Q_b) / d_a;
    every f steps  Q_a <- QR(S_a Q_a), likewise Q_b

    all from the λ and Q of the step before. Of the authors' code are: λ from 0.1; the
    first gradient moves nothing, gives S_a = (1 - β) G Gᵀ / d_b and S_b likewise, and
    Q by a full eigendecomposition; 1 / sqrt(λ) is at most max(10, min(d, 4000)). Of
    SOAP, not of that code: Adam's bias correction, decay beside the step. The code is
    `bias_correction=False, decay_after=True`.

    A vector has no basis: AdamW from the second gradient on. A tensor has a factor for
    each axis: that of an axis is of G whitened along all others, over the number of its
    fibres. The code has three axes at most, and for three it takes some λ of this step
    (`in_turn`): λ_3, λ_2, λ_1 are computed in turn, that of an axis with the new one of
    the next axis, and S_1 so too.
    """
    beta_s = b2 if shampoo_beta is None else shampoo_beta
    matrix, fibres = theta.ndim > 1, [theta.size / n for n in theta.shape]
    q = [None] * theta.ndim
    s = [np.zeros((n, n)) for n in theta.shape]
    values = [np.full(n, init_factor) for n in theta.shape]
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    w1 = w2 = 0.0
    for k in range(steps):
        g = gradient(k, theta)
        beta = at(beta_s, k)
        if k > 0:
            beta1, beta2 = at(b1, k), at(b2, k)
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * rotate(g, q) ** 2
            w1 = beta1 * w1 + (1 - beta1) if bias_correction else 1.0
            w2 = beta2 * w2 + (1 - beta2) if bias_correction else 1.0
            n = divide(rotate(m, q) / w1, np.sqrt(v / w2) + at(eps, k))
            step, eta = rotate_back(n, q), at(learning_rate, k)
            decayed = theta - eta * step if decay_after else theta
            theta = theta - eta * step - eta * at(weight_decay, k) * decayed
        if matrix and k == 0:
            for i, count in enumerate(fibres):
                s[i] = (1 - beta) * unfold(g, i) @ unfold(g, i).T / count
                q[i] = eigenbasis(s[i])
        elif matrix:
            old = list(values)
            for i in reversed(range(theta.ndim)):
                seen = list(old)
                if in_turn and i + 1 < theta.ndim:
                    seen[i + 1] = values[i + 1]
                h = whitened(g, i, q, seen if i == 0 else old) / fibres[i]
                s[i] = beta * s[i] + (1 - beta) * h
                h = whitened(g, i, q, seen) / fibres[i]
                now = beta * values[i] + (1 - beta) * np.diag(q[i].T @ h @ q[i])
                most = max(10, min(theta.shape[i], max_clamp_value))
                values[i] = np.maximum(now, most**-2.0)
            if k % precondition_frequency == 0:
                q = [np.linalg.qr(x @ y)[0] for x, y in zip(s, q, strict=True)]
        yield theta


@trajectory
def kl_soap_in_blocks(theta, gradient, steps, *, block_size, **keywords):
    """KL-SOAP with the blocks of Shampoo."""
    yield from in_blocks(kl_soap, theta, gradient, steps, block_size, **keywords)
