"""AdEMAMix: Adam with a fast and a slow memory of the gradient, and simplified."""

import math

import numpy as np

from .form import at, divide, trajectory


def alpha_schedule(alpha, warmup):
    """f_α(t, α, T_α) = min(t α / T_α, α) of AdEMAMix.

    The paper counts from t = 1, so step k, which has k steps behind it, has t = k + 1.
    """
    return lambda k: min((k + 1) * alpha / warmup, alpha)


def b3_schedule(b3, warmup, b_start=0.9):
    """f_β3(t, β3, β_start, T_β3) of AdEMAMix, at t = k + 1:

    min(exp(ln β_start ln β3 / ((1 - t/T) ln β3 + (t/T) ln β_start)), β3), which makes
    the half-life of the average, ln 0.5 / ln β - 1, grow linearly up to t = T.
    """

    def f(k):
        part = (k + 1) / warmup
        if part >= 1:
            return b3
        start, end = math.log(b_start), math.log(b3)
        return min(math.exp(start * end / ((1 - part) * end + part * start)), b3)

    return f


def b3_schedule_official(b3, warmup, b_start=0.9):
    """`b3_schedule` as the authors' code has it, with 1e-8 added inside the logarithm.

    It linearly mixes ln 0.5 / ln(β + 1e-8) - 1 and inverts it as 0.5^(1 / (. + 1)).
    With β3 = 0.9999 the half-life changes by 1e-4 of itself.
    """

    def half_life(b):
        return math.log(0.5) / math.log(b + 1e-8) - 1

    def f(k):
        part = (k + 1) / warmup
        if part >= 1:
            return b3
        mixed = (1 - part) * half_life(b_start) + part * half_life(b3)
        return 0.5 ** (1 / (mixed + 1))

    return f


@trajectory
def ademamix(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    b3=0.9999,
    alpha=5.0,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
):
    """M. Pagliardini, P. Ablin, D. Grangier, The AdEMAMix Optimizer: Better, Faster,
    Older, ICLR 2025, arXiv:2409.03137, Algorithm 1.

    The slow average m_2 is not corrected. `alpha` and `b3` may be `alpha_schedule` and
    `b3_schedule`, functions of k = t - 1. Departs: `eps_root` inside the root, 0 in the
    paper.
    """
    m1 = np.zeros_like(theta)
    m2 = np.zeros_like(theta)
    nu = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, lam, a = at(learning_rate, k), at(weight_decay, k), at(alpha, k)
        beta1, beta2, beta3 = at(b1, k), at(b2, k), at(b3, k)
        g = gradient(k, theta)
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = beta3 * m2 + (1 - beta3) * g
        nu = beta2 * nu + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m1_hat = m1 / w1
        nu_hat = nu / w2
        root = np.sqrt(nu_hat + at(eps_root, k)) + at(eps, k)
        theta = theta - eta * (divide(m1_hat + a * m2, root) + lam * theta)
        yield theta


@trajectory
def simplified_ademamix(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-4,
    b1=0.99,
    b2=0.95,
    alpha=0.0,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
    bias_correction1=False,
):
    """D. Morwani, N. Vyas, H. Zhang, S. Kakade, Connections between Schedule-Free
    Optimizers, AdEMAMix, and Accelerated SGD Variants, arXiv:2502.02431, the method
    Simplified-AdEMAMix, and the authors' code for corrections, epsilon and decay.

    The average is a sum, m = β1 m + g, "in theory style (not EMA style)". As in the
    code, only the second moment is corrected by default; `bias_correction1` divides
    the whole numerator by the sum of the weights in m. Departs: `eps_root`, as above.
    """
    m = np.zeros_like(theta)
    nu = np.zeros_like(theta)
    sum_of_weights = w2 = 0.0
    for k in range(steps):
        eta, lam, a = at(learning_rate, k), at(weight_decay, k), at(alpha, k)
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + g
        sum_of_weights = beta1 * sum_of_weights + 1
        nu = beta2 * nu + (1 - beta2) * g**2
        w2 = beta2 * w2 + (1 - beta2)
        numerator = a * g + m
        if bias_correction1:
            numerator = numerator / sum_of_weights
        root = np.sqrt(nu / w2 + at(eps_root, k)) + at(eps, k)
        theta = theta - eta * (divide(numerator, root) + lam * theta)
        yield theta


def b1_schedule(b1, warmup, min_b1=0.9):
    """Simplified-AdEMAMix's warm-up of β1, in the authors' code the same function of
    the half-life as AdEMAMix's of β3, from `min_b1`."""
    return b3_schedule_official(b1, warmup, min_b1)
