"""NorMuon: Muon with one second moment for each neuron."""

import numpy as np

from .form import at, divide, trajectory
from .muon import QUINTIC, adam_elsewhere, frobenius, muon_scale, newton_schulz


@trajectory
def normuon(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.02,
    beta=0.95,
    b2=0.95,
    eps=1e-8,
    weight_decay=0.0,
    ns_steps=5,
    coefficients=QUINTIC,
    eps_newton=1e-7,
    out_axis=0,
    released=False,
    eps_length=0.0,
):
    """Z. Li, L. Liu, C. Liang, W. Chen, T. Zhao, NorMuon: Making Muon More Efficient
    and Scalable, 2025, arXiv:2510.05491, Algorithm 1:

    M <- β1 M + (1 - β1) G;  O = NS5(M);  v <- β2 v + (1 - β2) mean_cols(O ∘ O);
    Ô = O / (sqrt(ExpandRows(v)) + ε);  η̂ = 0.2 η sqrt(mn) / |Ô|_F;
    W <- W - η λ W - η̂ Ô.

    A row is a neuron: the matrix is (out, in), as torch has it. JAX's kernels are
    (in, out), for which `out_axis=1` is the same rule.

    `released=True` is the authors' normuon.py where it differs: Nesterov's
    (1 - β) G + β M is orthogonalised, and Ô is brought to the length of O, times Muon's
    sqrt(max(1, out / in)), in place of 0.2 sqrt(mn). It divides by |Ô|_F + 1e-10,
    `eps_length`.
    """
    m = np.zeros_like(theta)
    v = np.zeros(theta.shape[out_axis])
    v = v[:, None] if out_axis == 0 else v[None, :]
    for k in range(steps):
        eta, mu, beta2 = at(learning_rate, k), at(beta, k), at(b2, k)
        g = gradient(k, theta)
        m = mu * m + (1 - mu) * g
        ahead = mu * m + (1 - mu) * g if released else m
        o = newton_schulz(ahead, ns_steps, coefficients, eps_newton)
        mean = np.mean(o * o, axis=1 - out_axis, keepdims=True)
        v = beta2 * v + (1 - beta2) * mean
        o_hat = divide(o, np.sqrt(v) + at(eps, k))
        if released:
            length = frobenius(o) * muon_scale(theta.shape, None, out_axis)
        else:
            length = 0.2 * np.sqrt(theta.size) if frobenius(o_hat) else 0.0
        step = divide(length, frobenius(o_hat) + eps_length) * o_hat
        theta = theta - eta * at(weight_decay, k) * theta - eta * step
        yield theta


normuon_or_adam = adam_elsewhere(normuon)
