"""For methods of the whole model: all leaves as the one vector x of the papers."""

import functools
from collections.abc import Callable, Iterator

import numpy as np


def one_vector(oracle: Callable[..., Iterator]) -> Callable:
    """An oracle on one vector, as one on a list of leaves or on one array.

    `oracle(x, gradient, steps, ...)` yields x after each step, or a tuple of several
    sequences of points. The result is the leaves' points stacked: for a list of leaves
    a list, for an array an array; of a tuple, a tuple of these.
    """

    @functools.wraps(oracle)
    def stacked(theta, gradient, steps, **hyperparameters):
        many = isinstance(theta, list)
        leaves = [np.array(t, np.float64) for t in (theta if many else [theta])]
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

        def whole(tree):
            parts = tree if many else [tree]
            return np.concatenate([np.ravel(np.asarray(p, np.float64)) for p in parts])

        def split(x):
            parts = zip(np.split(x, ends), leaves, strict=True)
            parts = [part.reshape(leaf.shape) for part, leaf in parts]
            return parts if many else parts[0]

        def at_vector(k, x):
            return whole(gradient(k, split(x)))

        def paths(xs):
            points = [split(x) for x in xs]
            if not many:
                return np.stack(points)
            return [np.stack(leaf) for leaf in zip(*points, strict=True)]

        start = whole([*leaves] if many else leaves[0])
        found = list(oracle(start, at_vector, steps, **hyperparameters))
        if isinstance(found[0], tuple):
            return tuple(paths(xs) for xs in zip(*found, strict=True))
        return paths(found)

    return stacked
