"""What all oracles share: hyperparameters at a step, 0/0, and the stacked result."""

import functools
from collections.abc import Callable, Iterator

import numpy as np

Gradient = Callable[[int, np.ndarray], np.ndarray]


def at(value, k: int):
    """A hyperparameter at step `k`: a number, or a function of the steps taken."""
    return value(k) if callable(value) else value


def divide(numerator, denominator):
    """The quotient, with 0/0 = 0. Anything else over 0 is infinite, as it should be."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    )
    nothing = (numerator == 0) & (denominator == 0)
    with np.errstate(divide="ignore"):
        return np.where(nothing, 0.0, numerator / np.where(nothing, 1.0, denominator))


def l2(gradient: Gradient, weight_decay) -> Gradient:
    """The gradient of f + λ/2 |θ|²: coupled weight decay, for any oracle."""
    return lambda k, theta: gradient(k, theta) + at(weight_decay, k) * theta


def trajectory(oracle: Callable[..., Iterator]) -> Callable[..., np.ndarray]:
    """An oracle that yields the parameters after each step, as one that stacks them."""

    @functools.wraps(oracle)
    def stacked(theta, gradient, steps, **hyperparameters):
        if isinstance(theta, list):
            start = [np.array(leaf, np.float64) for leaf in theta]

            def exact(k, point):
                return [np.asarray(g, np.float64) for g in gradient(k, point)]

            points = list(oracle(start, exact, steps, **hyperparameters))
            return [np.stack(leaves) for leaves in zip(*points, strict=True)]

        def exact(k, point):
            return np.asarray(gradient(k, point), np.float64)

        start = np.array(theta, np.float64)
        return np.stack(list(oracle(start, exact, steps, **hyperparameters)))

    return stacked
