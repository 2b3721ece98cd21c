"""SPAM: spikes of the gradient clipped, and the moments reset."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def spam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-6,
    weight_decay=0.0,
    threshold=5000.0,
    interval=500,
    warmup=150,
    grad_accu_steps=20,
    recount=False,
    decay_first=False,
):
    """Huang et al., arXiv:2501.06842, Algorithm 1 (SPAM) with every parameter kept
    (density 1), in the details as the authors' code.

    At t = ΔT, 2ΔT, … (`interval`) both moments return to zero and the rate is scaled by
    1 - 0.99 (1 + cos(π j / (N + 1))) / 2, j = 0, 1, … steps since, N = `warmup`; there
    is no such warm-up at the start. The corrections count on from t = 1. Clipped, as in
    `adam_spike_clip`, where t and t mod ΔT are both at least `grad_accu_steps`.
    Epsilon is on the uncorrected root, the decay after the step, on the new θ;
    `decay_first` takes it from the old θ.

    `recount`: at a restart the corrections begin anew too, the step of the restart
    being their first, as in T. Huang et al., Stable-SPAM, 2025, arXiv:2502.17055.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    since = warmup  # steps since the last reset
    for k in range(steps):
        t = k + 1
        lr, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        if t % interval == 0:
            m = np.zeros_like(theta)
            v = np.zeros_like(theta)
            since = 0
            if recount:
                w1 = w2 = 0.0
        if t >= grad_accu_steps and t % interval >= grad_accu_steps:
            most = at(threshold, k) * v
            g = np.where(g**2 > most, np.sign(g) * np.sqrt(most), g)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        scale = 1.0
        if since < warmup:
            scale = 1 - 0.99 * (1 + np.cos(np.pi * since / (warmup + 1))) / 2
        step_size = lr * np.sqrt(w2) / w1
        lost = lr * at(weight_decay, k)
        before = theta
        theta = theta - step_size * scale * divide(m, np.sqrt(v) + at(eps, k))
        theta = theta - lost * (before if decay_first else theta)
        since += 1
        yield theta
