"""The surfaces of the playground, as functions of a point (x, y)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..plotting.surfaces import beale, himmelblau, rosenbrock
from . import javascript
from .jaxprs import program
from .scalars import inputs


class Surface(NamedTuple):
    """A loss of two parameters, what of it is shown, and where a path starts.

    Attributes:
        title: its name on the page.
        about: a sentence on what it is for.
        loss: the function of the point.
        x: the shown range of the first parameter.
        y: that of the second one.
        start: where a path starts at first.
        sgd_rate: a learning rate for a step that is proportional to the gradient.
        low: what is added to the height before its logarithm, for the contours.
        seen: in which share of the steps a parameter has a gradient; 0 in the others.
    """

    title: str
    about: str
    loss: Callable[[Any], Any]
    x: tuple[float, float]
    y: tuple[float, float]
    start: tuple[float, float]
    sgd_rate: float
    low: float = 0.02
    seen: tuple[float, float] = (1.0, 1.0)


def _quadratic(at: Any) -> Any:
    x, y = at
    return 0.5 * (x**2 + 50 * y**2)


def _rotated(at: Any) -> Any:
    x, y = at
    return 0.25 * (x + y) ** 2 + 12.5 * (x - y) ** 2


def _saddle(at: Any) -> Any:
    x, y = at
    return 0.5 * x**2 - 0.5 * y**2 + 0.125 * y**4 + 0.5


def _sparse(at: Any) -> Any:
    x, y = at
    return 0.5 * (x**2 + y**2)


def _waves(at: Any) -> Any:
    x, y = at
    hills = 2 - jnp.cos(3 * x) - jnp.cos(3 * y)
    return 0.5 * (x**2 + y**2) + hills


SURFACES: dict[str, Surface] = {
    "quadratic": Surface(
        "Narrow valley",
        "A quadratic that is 50 times as steep in y as in x.",
        _quadratic,
        (-3.0, 3.0),
        (-2.0, 2.0),
        (-2.5, 1.5),
        0.03,
    ),
    "rotated": Surface(
        "Rotated valley",
        "The same valley across the axes: a rate for each parameter cannot straighten "
        "it.",
        _rotated,
        (-3.0, 3.0),
        (-2.0, 2.0),
        (-2.6, -0.6),
        0.03,
    ),
    "rosenbrock": Surface(
        "Rosenbrock",
        "A curved valley that is almost flat along its floor. Minimum 0 at (1, 1).",
        rosenbrock,
        (-2.2, 2.2),
        (-1.2, 3.2),
        (-1.6, 2.6),
        0.0005,
        1.0,
    ),
    "beale": Surface(
        "Beale",
        "Flat in the middle, steep in the corners. Minimum 0 at (3, 0.5).",
        beale,
        (-3.0, 4.4),
        (-2.4, 2.4),
        (-1.0, 1.8),
        0.005,
        0.3,
    ),
    "himmelblau": Surface(
        "Himmelblau",
        "Four minima, all 0: which one is reached depends on the optimizer.",
        himmelblau,
        (-5.0, 5.0),
        (-5.0, 5.0),
        (-0.4, -1.2),
        0.005,
        3.0,
    ),
    "saddle": Surface(
        "Saddle",
        "Flat in y near y = 0. The two minima, 0, are at (0, ±√2).",
        _saddle,
        (-2.4, 2.4),
        (-2.1, 2.1),
        (-2.0, 0.001),
        0.1,
    ),
    "waves": Surface(
        "Waves",
        "A bowl with many local minima. Minimum 0 at (0, 0).",
        _waves,
        (-4.0, 4.0),
        (-4.0, 4.0),
        (-3.0, 2.7),
        0.05,
        0.2,
    ),
    "sparse": Surface(
        "Rare gradient",
        "A round bowl. The gradient of y is 0 but for one step in ten, as that of a "
        "rare word.",
        _sparse,
        (-3.0, 3.0),
        (-2.4, 2.4),
        (-2.4, 1.9),
        0.1,
        seen=(1.0, 0.1),
    ),
}


def twin(loss: Callable[[Any], Any]) -> str:
    """Return a JavaScript function of `p`: value, gradient, diagonal of the Hessian."""

    def of_two(x: Any, y: Any) -> Any:
        return loss((x, y))

    with jax.enable_x64(True):
        number = jax.ShapeDtypeStruct((), jnp.float64)
        made, found = program(
            lambda x, y: [
                of_two(x, y),
                *jax.grad(of_two, (0, 1))(x, y),
                jax.grad(jax.grad(of_two, 0), 0)(x, y),
                jax.grad(jax.grad(of_two, 1), 1)(x, y),
            ],
            (number, [inputs("p", ())]),
            (number, [inputs("p", (), 1)]),
        )
    value, *rest = (each[()] for each in found)
    return javascript.function(made.finish([value], rest[:2], rest[2:]), ["p"])
