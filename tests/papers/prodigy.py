"""Methods that find the learning rate: Prodigy, D-Adaptation, DoG, DoWG.

They couple all leaves, by norms and inner products over the whole model. θ is a list of
leaves, or one array, and the oracles see one vector.
"""

import math

import numpy as np

from .form import at, divide
from .one_vector import one_vector


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


def length(x):
    """The Euclidean norm."""
    return math.sqrt(np.dot(x, x))


@one_vector
def dog(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    reps_rel=1e-6,
    r_eps=None,
    eps=1e-8,
    weight_decay=0.0,
):
    """M. Ivgi, O. Hinder, Y. Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic
    Step Size Schedule, ICML 2023, arXiv:2302.12022, eq. (DoG):

        η_t = max_{i <= t} |x_i - x_0| / sqrt(Σ_{i <= t} |g_i|²),  η_0 = r_ε / |g_0|

    As in the authors' code r_ε = reps_rel (1 + |x_0|) unless `r_eps` gives it, r̄ is
    never under it, `eps` is added to the sum once, the paper's c is `learning_rate`,
    and `weight_decay` is coupled. The paper evaluates an average: `polynomial_average`.
    """
    x, x_0 = theta, theta
    r_bar = reps_rel * (1 + length(x_0)) if r_eps is None else r_eps
    sum_of_squares = eps
    for k in range(steps):
        g = gradient(k, x) + at(weight_decay, k) * x
        r_bar = max(r_bar, length(x - x_0))
        sum_of_squares = sum_of_squares + np.dot(g, g)
        eta = at(learning_rate, k) * float(divide(r_bar, math.sqrt(sum_of_squares)))
        x = x - eta * g if np.any(g) else x
        yield x


@one_vector
def dowg(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    init_estim_sq_dist=1e-4,
    eps=0.0,
    weight_decay=0.0,
):
    """A. Khaled, K. Mishchenko, C. Jin, DoWG Unleashed: An Efficient Universal
    Parameter-Free Gradient Descent Method, NeurIPS 2023, arXiv:2305.16284, Algorithm 1:

        r̄_t = max(|x_t - x_0|, r̄_{t-1}),   v_t = v_{t-1} + r̄_t² |g_t|²,
        η_t = r̄_t² / sqrt(v_t),            x_{t+1} = x_t - η_t g_t

    from r̄_{-1}² = `init_estim_sq_dist`. The paper has no epsilon; the authors' code
    adds 1e-4 to sqrt(v_t) and starts r̄² at the same number. Departs: `learning_rate`
    and `weight_decay` (coupled), 1 and 0 in the paper.
    """
    x, x_0 = theta, theta
    r_squared, v = init_estim_sq_dist, 0.0
    for k in range(steps):
        g = gradient(k, x) + at(weight_decay, k) * x
        r_squared = max(r_squared, np.dot(x - x_0, x - x_0))
        v = v + r_squared * np.dot(g, g)
        step = divide(r_squared * g, math.sqrt(v) + eps)
        x = x - at(learning_rate, k) * step
        yield x


def polynomial_average(points, gamma=8.0):
    """O. Shamir, T. Zhang, Stochastic Gradient Descent for Non-smooth Optimization,
    ICML 2013, the polynomial-decay average with γ that DoG is evaluated with:
    x̄_t = (1 - (1 + γ) / (t + γ)) x̄_{t-1} + (1 + γ) / (t + γ) x_t from t = 1."""
    mean, means = np.zeros_like(points[0]), []
    for t, x in enumerate(points, 1):
        share = (1 + gamma) / (t + gamma)
        mean = (1 - share) * mean + share * x
        means.append(mean)
    return np.stack(means)
