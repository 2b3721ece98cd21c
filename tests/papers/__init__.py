"""Float64 oracles: one NumPy function for each published form of each member.

Every oracle is `name(theta, gradient, steps, *, <keywords>)` and returns the
parameters after each step, shape `(steps, *theta.shape)`.

- `theta`: one float64 array, one leaf (a list of arrays for a method that couples
  leaves, which then returns a list of stacked arrays).
- `gradient(k, theta)`: the gradient at step `k`, counted from 0, at that point.
- a keyword is a number or a function of `k`, the steps already taken.

They are written line for line from the papers' pseudo-code, in the papers' letters
and counting from `t = 1` as the papers do, and never from this library's code or from
Optax's. Three conventions are ours and hold in all of them:

- a decay that changes with the step is corrected with the sum of the weights that the
  average gives to the gradients, `w = b w + (1 - b)` from `w = 0`. That is `1 - Π b_i`,
  and `1 - b^t` for a constant decay, without its cancellation.
- `0 / 0` is 0: a zero gradient from a zero state moves nothing, whatever epsilon is.
- coupled (L2) weight decay is in the gradient: wrap it, `l2(gradient, weight_decay)`.
"""

from .adam_forms import (
    adam,
    adam_eps_hat,
    adam_eps_max,
    adam_eps_root,
    adam_l2,
    adamw,
    adamw_independent,
)
from .adaptive import adagrad, adagrad_tf, rmsprop, rmsprop_tf
from .form import at, divide, l2, trajectory
from .momentum import sgd
from .rectified import radam, radam_torch

__all__ = [
    "adagrad",
    "adagrad_tf",
    "adam",
    "adam_eps_hat",
    "adam_eps_max",
    "adam_eps_root",
    "adam_l2",
    "adamw",
    "adamw_independent",
    "at",
    "divide",
    "l2",
    "radam",
    "radam_torch",
    "rmsprop",
    "rmsprop_tf",
    "sgd",
    "trajectory",
]
