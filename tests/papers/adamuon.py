"""AdaMuon: Muon with a second moment."""

import numpy as np

from .form import at, divide, trajectory
from .muon import QUINTIC, adam_elsewhere, frobenius, newton_schulz


@trajectory
def adamuon(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.02,
    beta=0.95,
    b2=None,
    eps=1e-8,
    weight_decay=0.0,
    nesterov=False,
    sign=True,
    ns_steps=5,
    coefficients=QUINTIC,
    eps_norm=1e-7,
    eps_rms=0.0,
):
    """C. Si, D. Zhang, W. Shen, AdaMuon: Adaptive Muon Optimizer, 2025,
    arXiv:2507.11005 (v2 on), Algorithm 1:

    M <- β M + G;  O = NewtonSchulz(Sign(M));  V <- β V + (1 - β) O ∘ O;
    Ô = O / (sqrt(V) + ε);  γ = 0.2 sqrt(mn) / |Ô|_F;  W <- W - η (γ Ô + λ W).

    One β for both (`b2=None`); V is not corrected, as γ takes any factor out again, up
    to ε. The authors' code has M as an average (the same sign), Nesterov's
    (1 - β) G + β M inside the sign (`nesterov=True`), and |Ô|_F + ε in γ
    (`eps_rms=1e-8`). Version 1 of the paper has no sign (`sign=False`).
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    for k in range(steps):
        eta, mu = at(learning_rate, k), at(beta, k)
        second = mu if b2 is None else at(b2, k)
        g = gradient(k, theta)
        m = mu * m + (1 - mu) * g
        ahead = (1 - mu) * g + mu * m if nesterov else m
        seen = np.sign(ahead) if sign else ahead
        o = newton_schulz(seen, ns_steps, coefficients, eps_norm)
        v = second * v + (1 - second) * o * o
        o_hat = divide(o, np.sqrt(v) + at(eps, k))
        gamma = divide(0.2 * np.sqrt(theta.size), frobenius(o_hat) + eps_rms)
        gamma = gamma if frobenius(o_hat) else 0.0
        theta = theta - eta * (gamma * o_hat + at(weight_decay, k) * theta)
        yield theta


adamuon_or_adam = adam_elsewhere(adamuon)
