"""SM3: a second moment that is bounded by one number for each row and column."""

import numpy as np

from .form import at, divide, trajectory


def slices(x, axis):
    """The maximum over all axes but `axis`, which is kept in its place."""
    others = tuple(a for a in range(x.ndim) if a != axis)
    return x.max(axis=others, keepdims=True)


@trajectory
def sm3(theta, gradient, steps, *, learning_rate, momentum=0.9, eps=0.0):
    """R. Anil, V. Gupta, T. Koren, Y. Singer, Memory-Efficient Adaptive Optimization,
    NeurIPS 2019, arXiv:1901.11150, Algorithm SM3-II, the sets S_r being the slices of a
    tensor across each axis (the paper's recommended cover; a vector is AdaGrad):

    ν(i) = min_{r: S_r ∋ i} μ(r) + g(i)²;  w <- w - η g / sqrt(ν), 0/0 = 0;
    μ(r) = max_{j ∈ S_r} ν(j).

    The algorithm has no momentum (`momentum=0`); the experiments do, as the authors'
    code does it: an average, not corrected, of g / sqrt(ν). `eps` is inside the root:
    0 in the paper, 1e-30 in the authors' code.

    `optax.sm3` has `momentum=0.9` and eps 1e-8 inside the root: a gradient of 1e-4
    moves 0.7 of what it should on the first step.
    """
    whole = np.atleast_1d(theta).shape
    axes = range(len(whole))
    mu = [slices(np.zeros(whole), axis) for axis in axes]
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, beta = at(learning_rate, k), at(momentum, k)
        g = gradient(k, theta)
        smallest = mu[0]
        for other in mu[1:]:
            smallest = np.minimum(smallest, other)
        nu = np.broadcast_to(smallest, whole).reshape(theta.shape) + g**2
        u = divide(g, np.sqrt(nu + eps))
        m = beta * m + (1 - beta) * u
        theta = theta - eta * m
        mu = [slices(nu.reshape(whole), axis) for axis in axes]
        yield theta


@trajectory
def sm3_i(theta, gradient, steps, *, learning_rate):
    """The same paper, Algorithm SM3-I: μ(r) <- μ(r) + max_{j ∈ S_r} g(j)², then
    ν(i) = min_{r: S_r ∋ i} μ(r). Its ν is never below that of SM3-II.
    """
    whole = np.atleast_1d(theta).shape
    axes = range(len(whole))
    mu = [slices(np.zeros(whole), axis) for axis in axes]
    for k in range(steps):
        g = gradient(k, theta)
        mu = [mu[axis] + slices(g.reshape(whole) ** 2, axis) for axis in axes]
        nu = mu[0]
        for other in mu[1:]:
            nu = np.minimum(nu, other)
        nu = np.broadcast_to(nu, whole).reshape(theta.shape)
        theta = theta - at(learning_rate, k) * divide(g, np.sqrt(nu))
        yield theta
