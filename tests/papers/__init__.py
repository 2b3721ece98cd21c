"""Float64 oracles: one NumPy function for each published form of each optimizer.

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

import importlib
import inspect
import pkgutil

from .form import at as at, divide as divide, l2 as l2, trajectory as trajectory


def _oracles(file):
    """Those that a file defines: its functions of (theta, gradient, steps)."""
    module = importlib.import_module(f"{__name__}.{file}")
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__ == module.__name__
        and list(inspect.signature(value).parameters)[:3]
        == ["theta", "gradient", "steps"]
    }


ORACLES = {
    file: _oracles(file)
    for file in sorted(found.name for found in pkgutil.iter_modules(__path__))
}
"""The oracles of each file. Each is also `papers.<its name>`, whichever file it is in:
the function hides the file of that name, of which `from tests.papers.<file> import`
still finds the rest."""

for _of_a_file in ORACLES.values():
    globals().update(_of_a_file)
