"""Surfaces that optimizers are shown on: functions of two numbers, with their sources.

Each function takes a point `at` = (x, y), as an array whose first axis has length 2;
further axes are points of a grid. Heights and coordinates have no unit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from .. import errors


class Surface(NamedTuple):
    """A function of two numbers, and where to look at it.

    Attributes:
        height: the function, of an array (x, y) of shape (2, ...).
        x, y: the ranges to show.
        start: where paths begin if no start is given.
        minima: the lowest points.
    """

    height: Callable[[Any], Array]
    x: tuple[float, float]
    y: tuple[float, float]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...] = ()


def rosenbrock(at: Any) -> Array:
    """Rosenbrock's valley, narrow and bent: slow along it, steep across.

        f = (1 - x)² + 100 (y - x²)²

    The lowest point is (1, 1).

    Reference: Rosenbrock, "An automatic method for finding the greatest or least value
    of a function", The Computer Journal 3 (1960), pp. 175-184.
    """
    x, y = at
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale(at: Any) -> Array:
    """Beale's function: flat in the middle, with steep corners.

        f = (1.5 - x + x y)² + (2.25 - x + x y²)² + (2.625 - x + x y³)²

    The lowest point is (3, 0.5).

    Reference: Beale, "On an iterative method for finding a local minimum of a function
    of more than one variable", Technical Report 25, Statistical Techniques Research
    Group, Princeton University, 1958.
    """
    x, y = at
    first, second, third = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    return first**2 + second**2 + third**2


def himmelblau(at: Any) -> Array:
    """Himmelblau's function, which has four lowest points.

        f = (x² + y - 11)² + (x + y² - 7)²

    They are (3, 2) and near (-2.805, 3.131), (-3.779, -3.283) and (3.584, -1.848).

    Reference: Himmelblau, "Applied nonlinear programming", McGraw-Hill, 1972.
    """
    x, y = at
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def rastrigin(at: Any) -> Array:
    """Rastrigin's function: a bowl with a local minimum near each pair of integers.

        f = 20 + x² - 10 cos(2πx) + y² - 10 cos(2πy)

    The lowest point is (0, 0).

    Reference: Rastrigin, "Systems of extremal control", Nauka, 1974.
    """
    x, y = at
    waves = jnp.cos(2 * jnp.pi * x) + jnp.cos(2 * jnp.pi * y)
    return 20 + x**2 + y**2 - 10 * waves


def ill_conditioned(at: Any) -> Array:
    """A quadratic function that is 100 times as steep in y as in x.

        f = (x² + 100 y²) / 2

    The lowest point is (0, 0).

    Reference: Boyd & Vandenberghe, "Convex optimization", Cambridge University Press,
    2004, section 9.3.2, there with any condition number.
    """
    x, y = at
    return (x**2 + 100 * y**2) / 2


def saddle(at: Any) -> Array:
    """A saddle between two lowest points.

        f = x² / 2 + y⁴ / 4 - y² / 2

    The saddle is (0, 0), where gradient descent from y = 0 ends; the lowest points are
    (0, -1) and (0, 1).

    Reference: Nesterov, "Introductory lectures on convex optimization", Kluwer, 2004,
    section 1.2.3.
    """
    x, y = at
    return x**2 / 2 + y**4 / 4 - y**2 / 2


SURFACES = {
    "rosenbrock": Surface(rosenbrock, (-2, 2), (-1, 3), (-1.2, 1), ((1, 1),)),
    "beale": Surface(beale, (-1, 4.5), (-2, 2), (1, 1.5), ((3, 0.5),)),
    "himmelblau": Surface(
        himmelblau,
        (-6, 6),
        (-6, 6),
        (-0.5, -1),
        ((3, 2), (-2.805118, 3.131312), (-3.77931, -3.283186), (3.584428, -1.848126)),
    ),
    "rastrigin": Surface(rastrigin, (-4, 4), (-4, 4), (2.7, 3.2), ((0, 0),)),
    "ill_conditioned": Surface(
        ill_conditioned, (-5, 5), (-1.5, 1.5), (-4.5, 1), ((0, 0),)
    ),
    "saddle": Surface(saddle, (-2, 2), (-1.5, 1.5), (-1.5, 0.01), ((0, -1), (0, 1))),
}
"""The surfaces by name."""


def surface_named(where: str, surface: Any) -> Surface | None:
    """Return a surface by name, the surface itself, or None for a plain function."""
    if isinstance(surface, Surface):
        return surface
    if isinstance(surface, str):
        if surface not in SURFACES:
            raise errors.AdamxError(
                f"{where}: `surface` must be the name of a surface, got {surface!r}. "
                f"{errors.suggest(surface, SURFACES)}"
            )
        return SURFACES[surface]
    if not callable(surface):
        raise errors.type_error(
            where,
            "`surface` must be a name, a Surface or a function of (x, y)",
            errors.shown(surface),
            'Pass for example "rosenbrock", or lambda at: at[0]**2 + at[1]**2.',
        )
    return next((x for x in SURFACES.values() if x.height is surface), None)
