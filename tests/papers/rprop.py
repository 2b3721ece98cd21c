"""Rprop in its forms: a step size for each element, by the signs of the gradient."""

import numpy as np

from .form import at, trajectory


def grown(delta, product, eta_minus, eta_plus, smallest, largest):
    """Rprop's Δ: grown where the sign stayed, shrunk where it changed, kept at 0."""
    return np.where(
        product > 0,
        np.minimum(delta * eta_plus, largest),
        np.where(product < 0, np.maximum(delta * eta_minus, smallest), delta),
    )


@trajectory
def rprop(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    eta_minus=0.5,
    eta_plus=1.2,
    min_step_size=1e-6,
    max_step_size=50.0,
):
    """C. Igel, M. Hüsken, Improving the Rprop Learning Algorithm, 2000, iRprop-: where
    the sign of the derivative changes the step size shrinks and the derivative is set
    to zero, so nothing moves there, and the step after neither grows nor shrinks.

    Every step size starts at `learning_rate`, a number. The derivative before the first
    is zero. This is the form of torch and of Optax.
    """
    delta = np.full_like(theta, learning_rate)
    before = np.zeros_like(theta)
    for k in range(steps):
        g = gradient(k, theta)
        product = before * g
        delta = grown(
            delta,
            product,
            at(eta_minus, k),
            at(eta_plus, k),
            at(min_step_size, k),
            at(max_step_size, k),
        )
        g = np.where(product < 0, 0.0, g)
        theta = theta - np.sign(g) * delta
        before = g
        yield theta


@trajectory
def rprop_minus(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    eta_minus=0.5,
    eta_plus=1.2,
    min_step_size=1e-6,
    max_step_size=50.0,
):
    """M. Riedmiller, 1994, as Igel & Hüsken (2000) write Rprop-: no weight-backtracking
    and no zeroed derivative; where the sign changes the step is taken, smaller.
    """
    delta = np.full_like(theta, learning_rate)
    before = np.zeros_like(theta)
    for k in range(steps):
        g = gradient(k, theta)
        delta = grown(
            delta,
            before * g,
            at(eta_minus, k),
            at(eta_plus, k),
            at(min_step_size, k),
            at(max_step_size, k),
        )
        theta = theta - np.sign(g) * delta
        before = g
        yield theta


@trajectory
def rprop_plus(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.1,
    eta_minus=0.5,
    eta_plus=1.2,
    min_step_size=1e-6,
    max_step_size=50.0,
):
    """M. Riedmiller, H. Braun, A Direct Adaptive Method for Faster Backpropagation
    Learning: The RPROP Algorithm, ICNN 1993, the original with weight-backtracking,
    Rprop+ in Igel & Hüsken (2000): where the sign changes the step before is taken
    back, Δw(t) = -Δw(t-1), and the derivative is set to zero.
    """
    delta = np.full_like(theta, learning_rate)
    before = np.zeros_like(theta)
    dw = np.zeros_like(theta)
    for k in range(steps):
        g = gradient(k, theta)
        product = before * g
        delta = grown(
            delta,
            product,
            at(eta_minus, k),
            at(eta_plus, k),
            at(min_step_size, k),
            at(max_step_size, k),
        )
        dw = np.where(product < 0, -dw, -np.sign(g) * delta)
        before = np.where(product < 0, 0.0, g)
        theta = theta + dw
        yield theta
