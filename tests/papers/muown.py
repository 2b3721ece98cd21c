"""Muown: Muon for the directions of the rows of a matrix, Adam for their lengths."""

import numpy as np

from .form import at, divide, trajectory
from .muon import QUINTIC, adam_elsewhere, muon_scale, newton_schulz


@trajectory
def muown(
    theta,
    gradient,
    steps,
    *,
    learning_rate=3e-4,
    beta=0.95,
    eps=1e-7,
    b1=0.9,
    b2=0.95,
    adam_eps=1e-8,
    weight_decay=0.0,
    nesterov=True,
    consistent_rms=0.2,
    out_axis=0,
    ns_steps=5,
    coefficients=QUINTIC,
    parts=1,
    released=False,
):
    """K. Lion, F. Hübler, B. Li, A. Orvieto, N. He, Muown: Row-Norm Control for Muon
    Optimization, 2026, arXiv:2605.10797, as its authors' muown.py: W = g V / |V|, row
    by row, with one g_i = |W_i| for each row and V = W at first;

    ∇g = Σ_j ∇W ∘ V / |V|;  ∇V = g / |V| (∇W - ∇g V / |V|);
    V <- V - η Muon(∇V), with the scale 0.2 sqrt(max(rows, columns));
    g <- g - η Adam(∇g);  W = g V / |V|.

    A row is an output, as torch has it; `out_axis=1` is the same rule for JAX's
    kernels, (in, out). The decay, W <- W - η λ W of the old W, comes last; g is then
    |W| and V has its direction. Departs: the momentum is an average, the same up to ε
    (`released=True` is the code's sum).

    `parts=3` is what the code does to a matrix of 3 n rows and n columns, which it
    takes for a query, a key and a value: each third of the rows is orthogonalised by
    itself, with the scale of a third. The rest is by rows anyway.
    """
    axis = 1 - out_axis
    v = np.array(theta)

    def lengths(x):
        return np.sqrt(np.sum(x * x, axis, keepdims=True))

    g = lengths(v)
    m, mu, nu = np.zeros_like(v), np.zeros_like(g), np.zeros_like(g)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, decay = at(learning_rate, k), at(beta, k)
        before = g * v / lengths(v)
        of_w = gradient(k, before)
        unit = v / lengths(v)
        of_g = np.sum(of_w * unit, axis, keepdims=True)
        of_v = g / lengths(v) * (of_w - of_g * unit)
        new = of_v if released else (1 - decay) * of_v
        m = decay * m + new
        ahead = decay * m + new if nesterov else m
        pieces = np.split(ahead, parts, out_axis)
        each = [newton_schulz(x, ns_steps, coefficients, at(eps, k)) for x in pieces]
        o = np.concatenate(each, out_axis)
        v = v - eta * muon_scale(pieces[0].shape, consistent_rms, out_axis) * o
        mu = b1 * mu + (1 - b1) * of_g
        nu = b2 * nu + (1 - b2) * of_g**2
        w1 = b1 * w1 + (1 - b1)
        w2 = b2 * w2 + (1 - b2)
        adam = divide(mu / w1, np.sqrt(nu / w2) + adam_eps)
        g = g - eta * adam
        if np.any(at(weight_decay, k)):
            w = g * v / lengths(v) - eta * at(weight_decay, k) * before
            g, v = lengths(w), w * lengths(v) / lengths(w)
        yield g * v / lengths(v)


muown_or_adam = adam_elsewhere(muown)
