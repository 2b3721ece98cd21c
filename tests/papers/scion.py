"""Scion: steps to the corner of a ball, of another norm for each type of layer."""

import numpy as np

from .form import at, divide, trajectory
from .muon import QUINTIC, newton_schulz


def spectral(g, radius, out_axis, **iteration):
    """ρ sqrt(d_out / d_in) U Vᵀ: the ball of RMS -> RMS, for a hidden layer."""
    ratio = g.shape[out_axis] / g.shape[1 - out_axis]
    return radius * np.sqrt(ratio) * newton_schulz(g, **iteration)


def sign(g, radius, out_axis):
    """ρ / d_in sign(g): the ball of RMS -> ∞, for an output layer."""
    return radius / g.shape[1 - out_axis] * np.sign(g)


def rms(g, radius, eps=0.0):
    """ρ g / |g|_RMS, for a bias. The authors' code adds 1e-8 to |g|_RMS."""
    return divide(radius * g, np.sqrt(np.mean(np.square(g))) + eps)


@trajectory
def scion(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    beta=0.9,
    weight_decay=1.0,
    radius=50.0,
    output_radius=3000.0,
    output=False,
    out_axis=0,
    eps_newton=1e-7,
    eps_rms=0.0,
    ns_steps=5,
    coefficients=QUINTIC,
):
    """T. Pethick, W. Xie, K. Antonakopoulos, Z. Zhu, A. Silveti-Falls, V. Cevher,
    Training Deep Learning Models with Norm-Constrained LMOs, ICML 2025,
    arXiv:2502.07529, Algorithm 2 (constrained) and 1 (unconstrained):

    d <- α ∇f + (1 - α) d;  x <- (1 - γ) x + γ lmo(d), or x <- x + γ lmo(d),

    lmo(d) = argmin <d, x> over the ball of radius ρ of the norm of the layer's type:
    the negative of the functions above. The paper's α is 1 - `beta`. `weight_decay` is
    1 for the constrained form, 0 for the other; what lies between is ours.

    `output` makes a matrix an output layer. U Vᵀ is the Newton-Schulz iteration of
    Muon, as in the authors' code.
    """
    d = np.zeros_like(theta)
    for k in range(steps):
        eta, b = at(learning_rate, k), at(beta, k)
        d = (1 - b) * gradient(k, theta) + b * d
        if theta.ndim != 2:
            corner = rms(d, radius, eps_rms)
        elif output:
            corner = sign(d, output_radius, out_axis)
        else:
            iteration = {"ns_steps": ns_steps, "coefficients": coefficients}
            corner = spectral(d, radius, out_axis, eps=eps_newton, **iteration)
        theta = (1 - eta * at(weight_decay, k)) * theta - eta * corner
        yield theta
