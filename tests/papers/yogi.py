"""Yogi: a second moment that moves by a sum."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def yogi(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=1e-6,
    initial_mean=None,
):
    """M. Zaheer, S. Reddi, D. Sachan, S. Kale, S. Kumar, Adaptive Methods for Nonconvex
    Optimization, NeurIPS 2018, Algorithm 2 (Yogi):

        v_t = v_{t-1} - (1 - β2) sign(v_{t-1} - g_t²) g_t²

    Departs: both averages are divided by 1 - β^t as in Adam, and both start at
    `initial_accumulator`, as in Optax, so that a zero gradient moves the parameters;
    `initial_mean` is another start of m. The listing corrects nothing and starts at
    0: `yogi_paper`.
    """
    start = initial_accumulator if initial_mean is None else initial_mean
    m = np.full_like(theta, start)
    v = np.full_like(theta, initial_accumulator)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        theta = theta - eta * divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        yield theta


@trajectory
def yogi_paper(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=0.0,
):
    """Zaheer et al., NeurIPS 2018, Algorithm 2, no departure: nothing is corrected,
    x_{t+1} = x_t - η_t m_t / (sqrt(v_t) + ε).
    """
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator)
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - g**2) * g**2
        theta = theta - eta * divide(m, np.sqrt(v) + at(eps, k))
        yield theta


@trajectory
def yogi_official(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-3,
    initial_accumulator=1e-6,
):
    """Zaheer et al., NeurIPS 2018, Algorithm 2, as TensorFlow Addons publishes it: the
    rate is η sqrt(1 - β2^t) / (1 - β1^t) and epsilon is added to the uncorrected root.
    v starts at 1e-6, m at 0.
    """
    m = np.zeros_like(theta)
    v = np.full_like(theta, initial_accumulator)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = v + (1 - beta2) * np.sign(g**2 - v) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        eta_t = eta * np.sqrt(w2) / w1
        theta = theta - eta_t * divide(m, np.sqrt(v) + at(eps, k))
        yield theta
