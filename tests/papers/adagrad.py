"""AdaGrad: the root of the sum of squares, without a first moment."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def adagrad(
    theta, gradient, steps, *, learning_rate, eps=1e-10, initial_accumulator=0.0
):
    """J. Duchi, E. Hazan, Y. Singer, Adaptive Subgradient Methods for Online Learning
    and Stochastic Optimization, JMLR 12, 2011, Figure 1 with diagonal matrices:
    H_t = δ I + diag(s_t), s_t,i = |g_1:t,i|_2.

    The mirror-descent update with ψ_t(x) = <x, H_t x>/2 and no regulariser. δ is
    `eps`, outside the root. `initial_accumulator` (0 in the paper) starts the sum.
    torch's `lr_decay` is the schedule lr / (1 + k lr_decay).
    """
    squares = np.full_like(theta, initial_accumulator)
    for k in range(steps):
        eta = at(learning_rate, k)
        delta = at(eps, k)
        g = gradient(k, theta)
        squares = squares + g**2
        s = np.sqrt(squares)
        h = delta + s
        theta = theta - eta * divide(g, h)
        yield theta


@trajectory
def adagrad_tf(
    theta, gradient, steps, *, learning_rate, eps=1e-7, initial_accumulator=0.1
):
    """AdaGrad as TensorFlow and Keras document it: the sum of squares starts at 0.1
    and epsilon is inside the root, θ <- θ - η g / sqrt(G + ε). Not Duchi et al.'s.
    """
    accumulator = np.full_like(theta, initial_accumulator)
    for k in range(steps):
        eta = at(learning_rate, k)
        g = gradient(k, theta)
        accumulator = accumulator + g**2
        theta = theta - eta * divide(g, np.sqrt(accumulator + at(eps, k)))
        yield theta
