"""D-Adaptation of Adam. It couples all leaves, as Prodigy does."""

import math

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def d_adapt_adam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    estim_lr0=1e-6,
):
    """A. Defazio, K. Mishchenko, Learning-Rate-Free Learning by D-Adaptation, ICML
    2023, arXiv:2301.07733, Adam with D-Adaptation:

        m_{k+1} = β1 m_k + (1 - β1) d_k γ_k g_k,   v_{k+1} = β2 v_k + (1 - β2) g_k²,
        A_{k+1} = diag(sqrt(v_{k+1}) + ε),         x_{k+1} = x_k - A_{k+1}^{-1} m_{k+1},
        s_{k+1} = sqrt(β2) s_k + (1 - sqrt(β2)) d_k γ_k g_k,
        r_{k+1} = sqrt(β2) r_k + (1 - sqrt(β2)) d_k γ_k <g_k, s_k>_{A_{k+1}^{-1}},
        d̂_{k+1} = r_{k+1} / ((1 - sqrt(β2)) |s_{k+1}|_1),   d_{k+1} = max(d_k, d̂_{k+1})

    The authors' code has A_k in the inner product: `d_adapt_adam_official`.
    """
    x, d, r = theta, estim_lr0, 0.0
    s = np.zeros_like(x)
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    for k in range(steps):
        gamma, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        root = math.sqrt(beta2)
        g = gradient(k, x)
        m = beta1 * m + (1 - beta1) * d * gamma * g
        v = beta2 * v + (1 - beta2) * g**2
        a = np.sqrt(v) + at(eps, k)
        x = x - divide(m, a)
        r = root * r + (1 - root) * d * gamma * np.dot(g, divide(s, a))
        s = root * s + (1 - root) * d * gamma * g
        d_hat = float(divide(r, (1 - root) * np.sum(np.abs(s))))
        d = max(d, d_hat)
        yield x


@one_vector
def d_adapt_adam_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    estim_lr0=1e-6,
    weight_decay=0.0,
    bias_correction=False,
    growth_rate=math.inf,
):
    """Defazio & Mishchenko, arXiv:2301.07733, as the authors' package has it.

    Differs: the inner product <g_k, s_k> is weighted by A_k, the root before the
    present gradient (at the first step s is 0). d grows at most by `growth_rate` a
    step; with `bias_correction` the rate carries sqrt(1 - β2^t) / (1 - β1^t), inside
    the average; the decay is decoupled, by the rate that entered it, before the step.
    A gradient of zero from a zero state is skipped whole, uncounted.
    """
    x, d, r, counted = theta, estim_lr0, 0.0, 0
    s = np.zeros_like(x)
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    for k in range(steps):
        lr, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        root = math.sqrt(beta2)
        correction = 1.0
        if bias_correction:
            t = counted + 1
            correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        rate = d * lr * correction
        g = gradient(k, x)
        product, size = 0.0, 0.0
        if lr > 0:
            product = rate * np.dot(g, divide(s, np.sqrt(v) + at(eps, k)))
            m = beta1 * m + (1 - beta1) * rate * g
            v = beta2 * v + (1 - beta2) * g**2
            s = root * s + (1 - root) * rate * g
            size = np.sum(np.abs(s))
        if size == 0:
            yield x
            continue
        r = root * r + (1 - root) * product
        d_hat = r / ((1 - root) * size)
        d = max(d, min(d_hat, d * growth_rate))
        x = x - at(weight_decay, k) * rate * x
        x = x - divide(m, np.sqrt(v) + at(eps, k))
        counted += 1
        yield x
