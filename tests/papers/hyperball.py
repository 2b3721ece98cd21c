"""Hyperball: the direction of Adam or Muon, on the sphere where a matrix began."""

import numpy as np

from .adam import adam
from .form import at, divide, trajectory
from .muon import QUINTIC, frobenius, newton_schulz


def unit(x):
    """Norm(x) = x / |x|_F, and 0 for 0."""
    return divide(x, frobenius(x))


def on_the_sphere(theta, direction, eta, radius):
    """W <- Norm(W - η Norm(u) R) R."""
    return unit(theta - eta * unit(direction) * radius) * radius


@trajectory
def adamh_matrix(theta, gradient, steps, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """K. Wen, X. Dang, K. Lyu, T. Ma, P. Liang, From Weight Decay to Hyperball
    Optimization, part 1, 2025, whenwen.github.io:

    W <- Norm(W - η Norm(u) |W_0|_F) |W_0|_F with Norm(x) = x / |x|_F and "u_t is the
    standard Adam/Muon update", for each matrix of a hidden layer; "Adam for the
    remaining scalar parameters and embeddings". No weight decay.

    This is AdamH: u = m̂ / (sqrt(v̂) + ε), arXiv:1412.6980.
    """
    radius = frobenius(theta)
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = on_the_sphere(theta, u, at(learning_rate, k), radius)
        yield theta


@trajectory
def muonh_matrix(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    beta=0.95,
    eps=1e-8,
    nesterov=True,
    ns_steps=5,
    coefficients=QUINTIC,
):
    """The same with Muon's u, the orthogonalised momentum: MuonH.

    Muon's factor for the shape is lost in Norm(u).
    """
    radius = frobenius(theta)
    momentum = np.zeros_like(theta)
    for k in range(steps):
        mu = at(beta, k)
        g = gradient(k, theta)
        momentum = mu * momentum + (1 - mu) * g
        ahead = mu * momentum + (1 - mu) * g if nesterov else momentum
        u = newton_schulz(ahead, ns_steps, coefficients, at(eps, k))
        theta = on_the_sphere(theta, u, at(learning_rate, k), radius)
        yield theta


def adamh(theta, gradient, steps, *, learning_rate, **keywords):
    """AdamH for a matrix, Adam for a leaf of other axes."""
    method = adamh_matrix if np.ndim(theta) == 2 else adam
    return method(theta, gradient, steps, learning_rate=learning_rate, **keywords)


def muonh(theta, gradient, steps, *, learning_rate, b1=0.9, b2=0.999, **keywords):
    """MuonH for a matrix, Adam for a leaf of other axes."""
    if np.ndim(theta) == 2:
        return muonh_matrix(
            theta, gradient, steps, learning_rate=learning_rate, **keywords
        )
    return adam(theta, gradient, steps, learning_rate=learning_rate, b1=b1, b2=b2)
