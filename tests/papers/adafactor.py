"""Adafactor: a second moment factored into rows and columns.

A tensor of two axes or more is factored over its last two; axes before them are stacked
matrices, each with its own factors. Sums over a row or a column are sums here, as in
the papers; the released codes keep means, which changes nothing: V = R C / ΣR.
"""

import numpy as np

from .form import at, divide, trajectory

EPSILON = float(np.finfo(np.float64).eps)


def rms(x) -> float:
    """Root of the mean square of the whole tensor."""
    return float(np.sqrt(np.mean(np.square(x))))


def rows(x):
    """X 1_m: the sum of each row, an axis of length 1 in its place."""
    return x.sum(axis=-1, keepdims=True)


def columns(x):
    """1_nᵀ X: the sum of each column, likewise."""
    return x.sum(axis=-2, keepdims=True)


def outer(r, c):
    """R C / 1_nᵀ R."""
    return divide(r * c, columns(r))


@trajectory
def adafactor(
    theta,
    gradient,
    steps,
    *,
    learning_rate=None,
    decay_rate=0.8,
    clipping_threshold=1.0,
    momentum=None,
    eps=1e-30,
    eps_scale=1e-3,
    multiply_by_parameter_scale=True,
    factored=True,
):
    """N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost, ICML 2018, arXiv:1804.04235, Algorithm 4 (matrices), 5 (vectors) and 6 (the
    proposed hyperparameters): ε1 = `eps`, ε2 = `eps_scale`, d = `clipping_threshold`
    (None: no clipping), ρ_t = min(10⁻², 1/sqrt(t)), β̂2_t = 1 - t^-0.8.

    `learning_rate` takes the place of ρ_t; None is the paper's relative step, which
    still has the scale of the parameters (α_t = max(ε2, RMS(X)) ρ_t) unless
    `multiply_by_parameter_scale=False`. `decay_rate` is 0.8, or a function of k that
    gives β̂2 itself.

    No algorithm box has a first moment, though the experiments compare β1 = 0.9 with
    β1 = 0. `momentum` is that of the authors' code (tensor2tensor and Mesh
    TensorFlow): a plain average, not corrected, of α_t Û_t, so the rate is inside.
    That code factors a tensor if it has two axes that are large enough (128 in Optax).

    `optax.adafactor` is this, with `momentum` as here, and: a learning rate of None
    means no rate at all, not ρ_t; `weight_decay_rate` is added without the rate; the
    two largest axes are factored; and ones shorter than 128 are not.
    """
    factor = factored and theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    m = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        rho = min(1e-2, 1 / np.sqrt(t))
        rho = rho if learning_rate is None else at(learning_rate, k)
        scale = max(at(eps_scale, k), rms(theta))
        alpha = scale * rho if multiply_by_parameter_scale else rho
        g = gradient(k, theta)
        beta2 = decay_rate(k) if callable(decay_rate) else 1 - t**-decay_rate
        squared = g**2 + at(eps, k)
        if factor:
            r = beta2 * r + (1 - beta2) * rows(squared)
            c = beta2 * c + (1 - beta2) * columns(squared)
            v = outer(r, c)
        else:
            v = beta2 * v + (1 - beta2) * squared
        u = divide(g, np.sqrt(v))
        d = at(clipping_threshold, k)
        u_hat = u if d is None else u / max(1.0, rms(u) / d)
        if momentum is None:
            theta = theta - alpha * u_hat
        else:
            beta1 = at(momentum, k)
            m = beta1 * m + (1 - beta1) * alpha * u_hat
            theta = theta - m
        yield theta


@trajectory
def adafactor_torch(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    decay_rate=0.8,
    clipping_threshold=1.0,
    eps=EPSILON,
    eps_scale=1e-3,
    weight_decay=0.0,
):
    """Adafactor as `torch.optim.Adafactor` documents it. From the paper it departs in:
    ρ_t = min(lr, 1/sqrt(t)); decay first, θ <- θ - lr λ θ, after RMS(θ) was taken;
    ε1 (by default the dtype's epsilon) is not added to G²: V̂ = R C / max(1ᵀR, ε1) with
    row and column *means*, and Û = G / max(sqrt(V̂), ε1).
    """
    factor = theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        gamma = at(learning_rate, k)
        rho = min(gamma, 1 / np.sqrt(t))
        alpha = max(at(eps_scale, k), rms(theta)) * rho
        g = gradient(k, theta)
        theta = theta - gamma * at(weight_decay, k) * theta
        beta2 = 1 - t**-decay_rate
        if factor:
            r = beta2 * r + (1 - beta2) * rows(g**2) / g.shape[-1]
            c = beta2 * c + (1 - beta2) * columns(g**2) / g.shape[-2]
            v_hat = r * c / np.maximum(columns(r) / g.shape[-2], eps)
        else:
            v = beta2 * v + (1 - beta2) * g**2
            v_hat = v
        u = g / np.maximum(np.sqrt(v_hat), eps)
        theta = theta - alpha * u / max(1.0, rms(u) / clipping_threshold)
        yield theta
