"""Adam in a subspace of the gradient's rows or columns: GaLore, APOLLO, Fira.

The papers treat a weight of m <= n and project from the left, R = Pᵀ G, with r rows;
a taller one is the same for its transpose, which is how it is written here: every
method sees `wide`, the gradient or its transpose with m <= n. The released codes
project a *square* matrix from the right; `right_if_square=True` does as they do.

A projection is an argument, `projection(k, g)` with `g` wide and of shape (m, n), and
is asked for at k = 0, T, 2T, …: it returns P of shape (m, r). The moments are in the
subspace and are not rotated when P changes, so a sign of a singular vector matters:
`leading` fixes it.
"""

import functools

import numpy as np

from .adam import adam, adam_eps_hat
from .form import at, divide, trajectory


def norm(x, axis=None):
    """|X|_F, or the length of each column (axis 0), its axis kept."""
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=axis is not None))


def factors(n, r, axis, eps):
    """|N| / (|R| + ε) for each column, or for the tensor.

    Ours: 0 where R is 0 (the papers divide by 0 there; a column that is orthogonal to
    all of P has no factor). The codes have ε = 1e-8, and there a factor of 1e8 |N|.
    """
    below = norm(r, axis) + eps
    return np.where(below == 0, 0.0, norm(n, axis) / np.where(below == 0, 1.0, below))


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


def limit(s, before, growth, eps):
    """Fira's norm-growth limiter: S γ / max(|S| / (|S_{t-1}| + ε), γ), and its length.

    A step is at most γ times as long as the one before. So one zero gradient leaves a
    step of γ ε at most, and 1 % more with each step that follows: at ε = 1e-8, some
    1,800 steps to be back at 1. With ε = 0 all that follows is 0.
    """
    length = norm(s)
    if before is None or growth is None:
        return s, length
    limiter = max(float(divide(length, before + eps)), growth) / growth
    s = s / limiter if np.isfinite(limiter) else np.zeros_like(s)
    return s, norm(s)


@trajectory
def apollo(
    theta,
    gradient,
    steps,
    *,
    projection,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    update_proj_gap=200,
    scale=1.0,
    weight_decay=0.0,
    growth=1.01,
    by_tensor=False,
    eps_hat=False,
    eps_norm=0.0,
    right_if_square=False,
):
    """H. Zhu, Z. Zhang, W. Cong, et al., APOLLO: SGD-like Memory, AdamW-level
    Performance, MLSys 2025, arXiv:2412.05270, Algorithm 1: P ~ N(0, 1/r) every T steps;
    R = P G; R̃ = M / (sqrt(V) + ε) by Adam on R; s_i = |R̃[:, i]| / |R[:, i]|, one for
    each column (for APOLLO-Mini one for the tensor, `by_tensor=True`);
    W <- W - η α G diag(s) - η λ W; here with Fira's norm-growth limiter on G diag(s),
    γ = `growth` (None: without).

    `projection(k, g)` returns Pᵀ, (m, r), drawn by the caller; the sign and the order
    of its columns have no effect on s between two draws. α = `scale`.

    "AdamW" in the box is read with its bias correction. The box has no limiter; the
    text and the code do. Nothing is added to |R| ("small ε in the denominators removed
    for simplicity"). α is 1, and sqrt(128) for APOLLO-Mini.

    The authors' code multiplies by sqrt(scale) where the algorithm has α: pass
    scale=sqrt(α) for it. It has `eps_hat=True`, ε = 1e-6, `eps_norm=1e-8` added to |R|
    and to |S_{t-1}|, and decays after the step; it keeps the step's bias correction
    out of S, so the limiter sees a length without it (`eps_hat=True` does so too).
    """
    wide = Wide(theta.shape, right_if_square)
    adam = Subspace(projection, update_proj_gap, b1, b2, eps, eps_hat)
    before = None
    for k in range(steps):
        eta = at(learning_rate, k)
        g = wide(gradient(k, theta))
        r, n = adam(k, g)
        outside = np.sqrt(adam.w2) / adam.w1 if eps_hat else 1.0
        n = n / outside  # M / (sqrt(V) + ε̂), as the code has it
        axis = None if by_tensor else 0
        s = factors(n, r, axis, eps_norm)
        scaled, before = limit(g * s, before, growth, eps_norm)
        step = eta * outside * scale * wide(scaled)
        if eps_hat:
            theta = theta - step
            theta = theta - eta * at(weight_decay, k) * theta
        else:
            theta = theta - step - eta * at(weight_decay, k) * theta
        yield theta


def apollo_mini(theta, gradient, steps, **keywords):
    """APOLLO with one factor for the tensor; the paper's: rank 1, α = sqrt(128)."""
    keywords.setdefault("scale", np.sqrt(128))
    return apollo(theta, gradient, steps, by_tensor=True, **keywords)


@trajectory
def fira(
    theta,
    gradient,
    steps,
    *,
    rank,
    learning_rate=1e-2,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_norm=None,
    update_proj_gap=200,
    scale=1.0,
    weight_decay=0.0,
    growth=1.01,
    projection=None,
    released=False,
    right_if_square=False,
):
    """X. Chen, K. Feng, C. Li, et al., Fira: Can We Achieve Full-rank Training of LLMs
    Under Low-rank Constraint?, NeurIPS 2025, arXiv:2410.01623, Algorithm 1 (A.1):

    R, S <- Pᵀ G, (I - P Pᵀ) G;  N <- sqrt(1 - β2^t) / (1 - β1^t) M / (sqrt(V) + ε);
    S[:, i] <- S[:, i] |N[:, i]| / (|R[:, i]| + ε);
    S <- S γ / max(|S| / (|S_{t-1}| + ε), γ);  W <- W - η α (P N + S).

    ε is added before the correction, and `eps_norm` is that of the two lengths (None:
    the same). The first S is not limited. No decay in the algorithm; here it comes
    after the step, as in the code.

    `released=True` is the authors' code where it differs: α is in its back-projection,
    which the residual uses too, so S comes from G - α P R and stands unscaled beside
    α P N (S is not the residual unless α = 1, and its examples have 0.25); and the
    limiter sees S without the correction. It has ε = 1e-6 and 1e-8 for the lengths.
    """
    wide = Wide(theta.shape, right_if_square)
    adam = Subspace(projection or leading(rank), update_proj_gap, b1, b2, eps, True)
    before = None
    for k in range(steps):
        eta = at(learning_rate, k)
        small = at(eps, k) if eps_norm is None else eps_norm
        g = wide(gradient(k, theta))
        r, n = adam(k, g)
        corrected = np.sqrt(adam.w2) / adam.w1 if released else 1.0
        inside = (scale if released else 1.0) * adam.p @ r
        s = (g - inside) * factors(n / corrected, r, 0, small)
        s, before = limit(s, before, growth, small)
        direction = scale * adam.p @ n + (1.0 if released else scale) * corrected * s
        theta = theta - eta * wide(direction)
        theta = theta - eta * at(weight_decay, k) * theta
        yield theta


def adam_elsewhere(oracle, elsewhere=adam):
    """A method for matrices larger than the rank, and Adam for the other leaves."""

    @functools.wraps(oracle)
    def either(theta, gradient, steps, *, learning_rate, rank=1, **keywords):
        if np.ndim(theta) == 2 and min(theta.shape) > rank:
            if oracle in (galore, fira):
                keywords["rank"] = rank
            keywords["learning_rate"] = learning_rate
            return oracle(theta, gradient, steps, **keywords)
        words = {k: keywords[k] for k in ("b1", "b2", "eps") if k in keywords}
        return elsewhere(theta, gradient, steps, learning_rate=learning_rate, **words)

    return either


galore_or_adam = adam_elsewhere(galore)
apollo_or_adam = adam_elsewhere(apollo)
apollo_mini_or_adam = adam_elsewhere(apollo_mini)
fira_or_adam = adam_elsewhere(fira, adam_eps_hat)
