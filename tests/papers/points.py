"""Sharpness-aware minimisation: the gradient of another point than the step's."""

import numpy as np

from .form import at, divide
from .one_vector import one_vector


def ascent(g, theta, rho, adaptive=False):
    """ε̂(w) of SAM for p = 2, ρ g / |g|, and of ASAM, ρ T² g / |T g| with T = |w|
    (J. Kwon et al., ICML 2021, arXiv:2102.11600). The norm is over the whole model."""
    scale = np.abs(theta) if adaptive else 1.0
    return rho * divide(scale**2 * g, np.sqrt(np.sum((scale * g) ** 2)))


@one_vector
def sam_sgd(theta, gradient, steps, *, learning_rate=0.1, rho=0.05, adaptive=False):
    """P. Foret, A. Kleiner, H. Mobahi, B. Neyshabur, Sharpness-Aware Minimization for
    Efficiently Improving Generalization, ICLR 2021, arXiv:2010.01412, Algorithm 1: the
    gradient of the same batch k at w + ε̂(w), applied at w. No departure."""
    for k in range(steps):
        e = ascent(gradient(k, theta), theta, at(rho, k), adaptive)
        g = gradient(k, theta + e)
        theta = theta - at(learning_rate, k) * g
        yield theta


@one_vector
def sam_adam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    rho=0.05,
    adaptive=False,
):
    """Foret et al., arXiv:2010.01412, Algorithm 1 with Adam, arXiv:1412.6980, in the
    place of the last line's SGD: its moments see g at w + ε̂(w) only."""
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        e = ascent(gradient(k, theta), theta, at(rho, k), adaptive)
        g = gradient(k, theta + e)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        theta = theta - at(learning_rate, k) * u
        yield theta
