"""GaLore: Adam in a subspace of the gradient's rows or columns.

The papers treat a weight of m <= n and project from the left, R = Pᵀ G, with r rows;
a taller one is the same for its transpose, which is how it is written here: every
method sees `wide`, the gradient or its transpose with m <= n. The released codes
project a *square* matrix from the right; `right_if_square=True` does as they do.

A projection is an argument, `projection(k, g)` with `g` wide and of shape (m, n), and
is asked for at k = 0, T, 2T, …: it returns P of shape (m, r). The moments are in the
subspace and are not rotated when P changes, so a sign of a singular vector matters:
`leading` fixes it. APOLLO and Fira use the same lines.
"""

import functools
import inspect

import numpy as np

from .adam import adam
from .form import at, divide, trajectory


def norm(x, axis=None):
    """|X|_F, or the length of each column (axis 0), its axis kept."""
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=axis is not None))


def leading(rank):
    """P = U[:, :r] of the gradient's singular vectors, the papers' choice.

    Ours is the sign: the entry of each vector that is largest in size is positive. The
    released codes take what the library returns.
    """

    def projection(_, g):
        u = np.linalg.svd(g, full_matrices=False)[0][:, :rank]
        largest = np.take_along_axis(u, np.abs(u).argmax(axis=0)[None], axis=0)
        return u * np.sign(largest)

    return projection


class Wide:
    """Turns a tall matrix on its side, and back; or, for Optax, a wide one."""

    def __init__(self, shape, right_if_square, larger_side=False):
        rows, columns = shape
        self.turns = rows >= columns if right_if_square else rows > columns
        if larger_side:
            self.turns = rows < columns

    def __call__(self, x):
        return x.T if self.turns else x


class Subspace:
    """The lines that the three methods share: R = Pᵀ G, and Adam's M, V and N of it."""

    def __init__(self, projection, gap, b1, b2, eps, eps_hat):
        self.projection, self.gap = projection, gap
        self.b1, self.b2, self.eps, self.eps_hat = b1, b2, eps, eps_hat
        self.p = self.m = self.v = None
        self.w1 = self.w2 = 0.0  # 1 - Π β_i

    def __call__(self, k, g):
        """(R_t, N_t) of the gradient of step k, N = M̂ / (sqrt(V̂) + ε)."""
        if k % self.gap == 0:
            self.p = np.asarray(self.projection(k, g), np.float64)
        r = self.p.T @ g
        if self.m is None:
            self.m, self.v = np.zeros_like(r), np.zeros_like(r)
        beta1, beta2, epsilon = at(self.b1, k), at(self.b2, k), at(self.eps, k)
        self.m = beta1 * self.m + (1 - beta1) * r
        self.v = beta2 * self.v + (1 - beta2) * r**2
        self.w1 = beta1 * self.w1 + (1 - beta1)
        self.w2 = beta2 * self.w2 + (1 - beta2)
        m_hat, v_hat = self.m / self.w1, self.v / self.w2
        if self.eps_hat:
            epsilon = epsilon / np.sqrt(self.w2)
        return r, divide(m_hat, np.sqrt(v_hat) + epsilon)


@trajectory
def galore(
    theta,
    gradient,
    steps,
    *,
    rank,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    update_proj_gap=200,
    scale=0.25,
    weight_decay=0.0,
    projection=None,
    eps_hat=False,
    right_if_square=False,
    larger_side=False,
):
    """J. Zhao, Z. Zhang, B. Chen, et al., GaLore: Memory-Efficient LLM Training by
    Gradient Low-Rank Projection, ICML 2024, arXiv:2403.03507, Algorithm 2 (Adam with
    GaLore): P = U[:, :r] of SVD(G) every T steps; R = Pᵀ G; M, V, N of R by Adam;
    W <- W - η α P N.

    α = `scale`, T = `update_proj_gap`. No decay in the algorithm; here it comes after
    the step, W <- (1 - η λ) W, as in the authors' code, which also has ε before the
    correction, `eps_hat=True`, and 1e-6 for it.

    `optax.contrib.galore` has scale=1 for its default, and projects from the other
    side: from the left where m >= n, so that P is the larger matrix and M and V the
    smaller (`larger_side=True`).
    """
    wide = Wide(theta.shape, right_if_square, larger_side)
    adam = Subspace(projection or leading(rank), update_proj_gap, b1, b2, eps, eps_hat)
    for k in range(steps):
        eta = at(learning_rate, k)
        g = wide(gradient(k, theta))
        _, n = adam(k, g)
        theta = theta - eta * scale * wide(adam.p @ n)
        theta = theta - eta * at(weight_decay, k) * theta
        yield theta


def adam_elsewhere(oracle, elsewhere=adam):
    """A method for matrices larger than the rank, and Adam for the other leaves."""

    @functools.wraps(oracle)
    def either(theta, gradient, steps, *, learning_rate, rank=1, **keywords):
        if np.ndim(theta) == 2 and min(theta.shape) > rank:
            if "rank" in inspect.signature(oracle).parameters:
                keywords["rank"] = rank
            keywords["learning_rate"] = learning_rate
            return oracle(theta, gradient, steps, **keywords)
        words = {k: keywords[k] for k in ("b1", "b2", "eps") if k in keywords}
        return elsewhere(theta, gradient, steps, learning_rate=learning_rate, **words)

    return either


galore_or_adam = adam_elsewhere(galore)
