"""RMSProp: the root of the mean of squares, without a first moment."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def rmsprop(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    decay=0.9,
    eps=1e-8,
    centered=False,
    momentum=0.0,
):
    """T. Tieleman, G. Hinton, Lecture 6.5, COURSERA: Neural Networks for Machine
    Learning, 2012: MeanSquare(t) = 0.9 MeanSquare(t-1) + 0.1 g², the gradient divided
    by its root. Centred: A. Graves, arXiv:1308.0850, eqs. 38-40.

    The lecture has no epsilon and no momentum. Here, as in the pseudo-code of
    torch.optim.RMSprop: epsilon outside the root, the average from 0 and not
    corrected, heavy-ball momentum of the quotient before the rate.
    """
    v = np.zeros_like(theta)
    g_ave = np.zeros_like(theta)
    b = np.zeros_like(theta)
    for k in range(steps):
        gamma = at(learning_rate, k)
        alpha = at(decay, k)
        mu = at(momentum, k)
        g = gradient(k, theta)
        v = alpha * v + (1 - alpha) * g**2
        v_tilde = v
        if centered:
            g_ave = alpha * g_ave + (1 - alpha) * g
            v_tilde = np.maximum(v - g_ave**2, 0.0)  # below 0 by rounding only
        b = mu * b + divide(g, np.sqrt(v_tilde) + at(eps, k))
        theta = theta - gamma * b
        yield theta


@trajectory
def rmsprop_tf(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    decay=0.9,
    eps=1e-8,
    centered=False,
    momentum=0.0,
    initial_scale=0.0,
):
    """A. Graves, Generating Sequences With Recurrent Neural Networks,
    arXiv:1308.0850, eqs. 38-41, the form of TensorFlow and Keras: epsilon inside the
    root, momentum after the rate.

        n_i = ℵ n_i + (1 - ℵ) ε_i²                 (38)
        g_i = ℵ g_i + (1 - ℵ) ε_i                  (39)
        Δ_i = ℶ Δ_i - ℸ ε_i / sqrt(n_i - g_i² + ℷ) (40)
        w_i = w_i + Δ_i                            (41)

    Departs: g_i is left out unless `centered`; `initial_scale` (0 in the paper, 1 in
    the first TensorFlow) starts n.
    """
    n = np.full_like(theta, initial_scale)
    g_i = np.zeros_like(theta)
    delta = np.zeros_like(theta)
    for k in range(steps):
        aleph, beth = at(decay, k), at(momentum, k)
        daleth, gimel = at(learning_rate, k), at(eps, k)
        epsilon_i = gradient(k, theta)
        n = aleph * n + (1 - aleph) * epsilon_i**2
        variance = n
        if centered:
            g_i = aleph * g_i + (1 - aleph) * epsilon_i
            variance = np.maximum(n - g_i**2, 0.0)  # below 0 by rounding only
        delta = beth * delta - daleth * divide(epsilon_i, np.sqrt(variance + gimel))
        theta = theta + delta
        yield theta
