"""Shampoo: one preconditioner for each axis of a tensor.

Nothing here depends on the sign of an eigenvector: it uses functions of a symmetric
matrix only.
"""

import itertools

import numpy as np

from .form import at, trajectory


def unfold(x, axis):
    """The matrix whose rows are the slices of X across one axis."""
    return np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)


def along(x, axis, matrix):
    """X ×_axis M: the matrix times every fibre of X along that axis."""
    return np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)


def power(symmetric, exponent):
    """S^p of a positive definite matrix, by its eigenvalues."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * values**exponent) @ vectors.T


def sides(shape, one_sided):
    """The axes that have a preconditioner: of a matrix maybe one."""
    if one_sided is None or len(shape) < 2:
        return range(len(shape))
    rows, columns = shape
    smaller = "left" if rows <= columns else "right"
    return [("left", "right").index(smaller if one_sided == "smaller" else one_sided)]


def blocks(shape, size):
    """The blocks of a tensor, each a tuple of slices: `size` long, at the ends less."""
    cuts = [[slice(i, i + size) for i in range(0, n, size)] for n in shape]
    return list(itertools.product(*cuts))


def in_blocks(oracle, theta, gradient, steps, block_size, **keywords):
    """Each block of a tensor as a tensor of its own, with the gradient of the whole.

    That of R. Anil, V. Gupta, T. Koren, et al., Scalable Second Order Optimization for
    Deep Learning, 2020, arXiv:2002.09018, and of H.-J. M. Shi, T.-H. Lee, S. Iwasaki,
    et al., 2023, arXiv:2309.06497, whose code cuts from the first element on.
    """
    cuts, now = blocks(theta.shape, block_size), {}
    runs = [
        oracle.__wrapped__(
            theta[cut].copy(), lambda k, _, cut=cut: now[k][cut], steps, **keywords
        )
        for cut in cuts
    ]
    for k in range(steps):
        now[k] = gradient(k, theta)
        theta = theta.copy()
        for cut, run in zip(cuts, runs, strict=True):
            theta[cut] = next(run)
        yield theta


def merged_shape(shape, most):
    """The shape after axes that follow each other were merged, up to a product `most`.

    As `merge_dims` of SOAP's authors' code says it: from the first axis on, an axis
    joins those before it as long as the product is at most `max_precond_dim`. A longer
    axis stays by itself. An axis of 1 is none.
    """
    groups = []
    for n in shape:
        if groups and groups[-1] * n <= most:
            groups[-1] *= n
        else:
            groups.append(n)
    return [n for n in groups if n > 1] or [1]


def on_merged(oracle, theta, gradient, steps, most, **keywords):
    """An oracle of tensors on the tensor with merged axes."""
    shape = theta.shape
    dims = merged_shape(shape, most)

    def of_merged(k, point):
        return gradient(k, point.reshape(shape)).reshape(dims)

    run = oracle.__wrapped__(theta.reshape(dims), of_merged, steps, **keywords)
    for point in run:
        yield point.reshape(shape)


@trajectory
def shampoo(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    eps=1e-4,
    b2=None,
    bias_correction=False,
    exponent=None,
    precondition_frequency=1,
    start_preconditioning_step=1,
    one_sided=None,
    max_dim=None,
):
    """V. Gupta, T. Koren, Y. Singer, Shampoo: Preconditioned Stochastic Tensor
    Optimization, ICML 2018, arXiv:1802.09568, Algorithm 1 (matrices) and 2 (tensors of
    order q): H_i = ε I + Σ G^(i) G^(i)ᵀ, and the gradient times H_i^(-1/2q) along every
    axis; L^(-1/4) G R^(-1/4) for a matrix, AdaGrad with a full matrix for a vector.

    Preconditioners are accumulated and used on every step, nothing is grafted.
    `b2` makes them averages, H <- β2 H + (1 - β2) G Gᵀ (from ε I), as R. Anil, V.
    Gupta, T. Koren, et al., Scalable Second Order Optimization for Deep Learning, 2020,
    arXiv:2002.09018; `exponent` takes the place of -1/(2q).

    `bias_correction` is that of H.-J. M. Shi, T.-H. Lee, S. Iwasaki, et al., A
    Distributed Data-Parallel PyTorch Implementation of the Distributed Shampoo
    Optimizer for Training Neural Networks At-Scale, 2023, arXiv:2309.06497, Algorithm
    2: the averages start at 0, and the root is that of H / (1 - β2^t) + ε I. Of their
    code is the interval: roots are computed at step `start_preconditioning_step` and at
    every later multiple of `precondition_frequency`; before, they are I.

    `one_sided` has a preconditioner for one axis of a matrix only, and its power -1/2:
    S. Xie, T. Wang, S. Reddi, S. Kumar, Z. Li, Structured Preconditioners in Adaptive
    Optimization, ICML 2025, arXiv:2503.10537 (the left one); K. An, Y. Liu, R. Pan, et
    al., ASGO, NeurIPS 2025, arXiv:2503.20762 (either).

    An axis longer than `max_dim` has no preconditioner; q counts it.
    """
    axes = sides(theta.shape, one_sided)
    order = len(axes)
    axes = [i for i in axes if max_dim is None or theta.shape[i] <= max_dim]
    start = 0.0 if bias_correction else eps
    h = [start * np.eye(n) for n in theta.shape]
    roots = [np.eye(n) for n in theta.shape]
    w = 0.0  # 1 - Π β2_i
    for k in range(steps):
        g = gradient(k, theta)
        u = g
        if bias_correction:
            w = at(b2, k) * w + (1 - at(b2, k))
        for axis in axes:
            unfolded = unfold(g, axis)
            statistic = unfolded @ unfolded.T
            if b2 is None:
                h[axis] = h[axis] + statistic
            else:
                h[axis] = at(b2, k) * h[axis] + (1 - at(b2, k)) * statistic
            p = -1 / (2 * order) if exponent is None else exponent
            seen = h[axis]
            if bias_correction:
                seen = seen / w + eps * np.eye(theta.shape[axis])
            t, first = k + 1, start_preconditioning_step
            if t == first or (t > first and t % precondition_frequency == 0):
                roots[axis] = power(seen, p)
            u = along(u, axis, roots[axis])
        theta = theta - at(learning_rate, k) * u
        yield theta


def shampoo_of_an_axis(theta, gradient, steps, **keywords):
    """Shampoo, a scalar being a vector of one entry."""
    shape = np.shape(theta)

    def along_an_axis(k, point):
        return np.reshape(gradient(k, point.reshape(shape)), point.shape)

    oracle = shampoo_in_blocks if "block_size" in keywords else shampoo
    path = oracle(np.atleast_1d(theta), along_an_axis, steps, **keywords)
    return path.reshape(steps, *shape)


@trajectory
def shampoo_in_blocks(theta, gradient, steps, *, block_size, **keywords):
    """Shampoo with blocks."""
    yield from in_blocks(shampoo, theta, gradient, steps, block_size, **keywords)


@trajectory
def shampoo_merged(theta, gradient, steps, *, max_dim, **keywords):
    """Shampoo of the tensor with merged axes, those that are long without one."""
    yield from on_merged(
        shampoo, theta, gradient, steps, max_dim, max_dim=max_dim, **keywords
    )
