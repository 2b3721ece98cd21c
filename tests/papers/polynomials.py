"""The polynomials of iterations that orthogonalise, computed by their definitions."""

import numpy as np


def best_quintic(left, right):
    """The odd polynomial a x + b x³ + c x⁵ nearest to 1 on [left, right], by Remez.

    Amsel, Persson, Musco & Gower, The Polar Express, 2025, arXiv:2505.16932, section 3:
    its error alternates at four points, the ends and the two extrema between them.
    """
    if left / right >= 1 - 5e-6:
        return 15 / 8 / right, -10 / 8 / right**3, 3 / 8 / right**5
    q, r = (3 * left + right) / 4, (left + 3 * right) / 4
    for _ in range(100):
        x = np.array([left, q, r, right])
        system = np.stack([x, x**3, x**5, [1, -1, 1, -1]], 1)
        a, b, c, _ = np.linalg.solve(system, np.ones(4))
        root = np.sqrt(9 * b * b - 20 * a * c)
        q, r = np.sqrt((-3 * b + np.array([-root, root])) / (10 * c))
    return a, b, c


def polar_express(steps, least=1e-3, cushion=0.02407327424182761):
    """The rows of Algorithm 2 of the paper: greedy best polynomials.

    A polynomial is the best for [max(l, cushion u), u], so that it does not dip near 0,
    and is then scaled so that p(l) and p(u) lie around 1.
    """
    left, right = least, 1.0
    for _ in range(steps):
        row = np.array(best_quintic(max(left, cushion * right), right))
        ends = [row @ [x, x**3, x**5] for x in (left, right)]
        row = row * 2 / sum(ends)
        yield tuple(row)
        left = row @ [left, left**3, left**5]
        right = 2 - left
