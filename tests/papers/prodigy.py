"""Prodigy: Adam that estimates the distance to the solution for its rate.

It couples all leaves, by norms and inner products over the whole model. θ is a list of
leaves, or one array, and the oracles see one vector.
"""

import math

import numpy as np

from .form import at, divide
from .one_vector import one_vector
from .schedule_free import Weights


@one_vector
def prodigy(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    b1=0.9,
    b2=0.999,
    b3=None,
    eps=1e-8,
    estim_lr0=1e-6,
):
    """K. Mishchenko, A. Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free
    Learner, ICML 2024, arXiv:2306.06101, Algorithm 4 (Prodigy, Adam version).

    γ_k is `learning_rate`, d_0 `estim_lr0`; the decay of r and s is sqrt(β2), or `b3`.
    Departs only in reading 0/0 as 0, so that a zero gradient keeps d. The authors' code
    has more options and another epsilon: `prodigy_official`.
    """
    x, x_0, d = theta, theta, estim_lr0
    r = 0.0
    s = np.zeros_like(x)
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    for k in range(steps):
        gamma, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        beta3 = math.sqrt(beta2) if b3 is None else at(b3, k)
        g = gradient(k, x)
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * d**2 * g**2
        r = beta3 * r + (1 - beta3) * gamma * d**2 * np.dot(g, x_0 - x)
        s = beta3 * s + (1 - beta3) * gamma * d**2 * g
        d_hat = float(divide(r, np.sum(np.abs(s))))
        x = x - gamma * d * divide(m, np.sqrt(v) + d * at(eps, k))
        d = max(d, d_hat)
        yield x


@one_vector
def prodigy_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    b1=0.9,
    b2=0.999,
    b3=None,
    eps=1e-8,
    estim_lr0=1e-6,
    estim_lr_coef=1.0,
    weight_decay=0.0,
    safeguard_warmup=False,
    bias_correction=False,
    growth_rate=math.inf,
):
    """Mishchenko & Defazio, arXiv:2306.06101, as the authors' package has it.

    Differs from the paper: epsilon is multiplied by the new d_{k+1}, while the step is
    by d_k; with `bias_correction` the rate carries sqrt(1 - β2^t) / (1 - β1^t), in r
    and s too; `safeguard_warmup` leaves rate and correction out of s, not of r;
    `estim_lr_coef` multiplies d̂; after its first growth d grows at most by
    `growth_rate` a step. The decay is decoupled, by the same rate as the step, before
    it. A gradient of zero from a zero state is skipped whole, uncounted.
    """
    x, x_0, d = theta, theta, estim_lr0
    d_max = estim_lr0
    r, counted = 0.0, 0
    s = np.zeros_like(x)
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    for k in range(steps):
        lr, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        beta3 = math.sqrt(beta2) if b3 is None else at(b3, k)
        correction = 1.0
        if bias_correction:
            t = counted + 1
            correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        rate = d * lr * correction
        g = gradient(k, x)
        delta = 0.0
        if lr > 0:
            delta = d * rate * np.dot(g, x_0 - x)
            m = beta1 * m + (1 - beta1) * d * g
            v = beta2 * v + (1 - beta2) * d**2 * g**2
            s = beta3 * s + d * (d if safeguard_warmup else rate) * g
        size = np.sum(np.abs(s)) if lr > 0 else 0.0
        if size == 0:
            yield x
            continue
        r = beta3 * r + delta
        d_hat = estim_lr_coef * r / size
        if d == estim_lr0:
            d = max(d, d_hat)
        d_max = max(d_max, d_hat)
        d = min(d_max, d * growth_rate)
        x = x - at(weight_decay, k) * rate * x
        x = x - rate * divide(m, np.sqrt(v) + d * at(eps, k))
        counted += 1
        yield x


@one_vector
def prodigy_schedule_free(
    theta, gradient, steps, *, learning_rate=1.0, b1=0.9, b2=0.99, eps=1e-8, d_0=1e-6
):
    """Schedule-Free (A. Defazio et al., arXiv:2405.15682, eq. 3-5) around Prodigy
    without momentum, as L. Booker's github.com/LoganBooker/prodigy-plus-schedule-free
    combines them: the weight of a step in the average x is the square of its rate, d.

    Of that repository's Prodigy, which is `prodigy_official` with an β1 of 0, it is the
    plain form: no factored second moment, no clipping of the update, no limit to the
    growth of d, one d for all. Departs: the numerator has the point of the gradient, y,
    where the repository has z. Returns (y, x).
    """
    x = y = z = theta
    d, r = d_0, 0.0
    s, v = np.zeros_like(theta), np.zeros_like(theta)
    beta3 = math.sqrt(b2)
    c = Weights(weight_lr_power=2.0, r=0.0)
    for k in range(steps):
        rate = d * at(learning_rate, k)
        c_k = c.share(k, rate)
        g = gradient(k, y)
        r = beta3 * r + d * rate * np.dot(g, theta - y)
        s = beta3 * s + d * rate * g
        v = b2 * v + (1 - b2) * d**2 * g**2
        update = d * g
        d = max(d, float(divide(r, np.sum(np.abs(s)))))
        z = z - rate * divide(update, np.sqrt(v) + d * at(eps, k))
        x = (1 - c_k) * x + c_k * z
        y = at(b1, k) * x + (1 - at(b1, k)) * z
        yield y, x
