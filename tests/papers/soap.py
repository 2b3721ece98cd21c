"""SOAP: Adam in the eigenbasis of Shampoo's matrices.

Nothing here depends on the sign of an eigenvector: a sign of a column of Q comes back
with Q.
"""

import numpy as np

from .form import at, divide, trajectory
from .shampoo import along, in_blocks, on_merged, sides, unfold


def eigenbasis(symmetric):
    """Eigenvectors as columns, of the largest eigenvalue first."""
    return np.linalg.eigh(symmetric)[1][:, ::-1]


def rotate(x, bases):
    """Q_Lᵀ X Q_R, on every axis that has a basis."""
    for axis, q in enumerate(bases):
        x = x if q is None else along(x, axis, q.T)
    return x


def rotate_back(x, bases):
    """Q_L X Q_Rᵀ."""
    for axis, q in enumerate(bases):
        x = x if q is None else along(x, axis, q)
    return x


@trajectory
def soap(
    theta,
    gradient,
    steps,
    *,
    learning_rate=3e-3,
    b1=0.95,
    b2=0.95,
    shampoo_beta=None,
    eps=1e-8,
    weight_decay=0.0,
    precondition_frequency=10,
    bias_correction=True,
    bases=None,
    released=True,
    sort=None,
    precondition_1d=False,
    normalize_grads=False,
    one_sided=None,
    max_dim=None,
    decays_at_once=False,
):
    """N. Vyas, D. Morwani, R. Zhao, et al., SOAP: Improving and Stabilizing Shampoo
    using Adam, ICLR 2025, arXiv:2409.11321, Algorithms 3 and 4:

    G' = Q_Lᵀ G Q_R;  M <- β1 M + (1 - β1) G;  M' = Q_Lᵀ M Q_R;
    V <- β2 V + (1 - β2) G' ∘ G';  N' = M' / (sqrt(V̂) + ε);  W <- W - η Q_L N' Q_Rᵀ;
    L <- β2 L + (1 - β2) G Gᵀ;  R <- β2 R + (1 - β2) Gᵀ G;
    every f steps  Q <- QR(L Q), one power iteration, likewise for R.

    The box leaves out "the initialization and other boundary effects", bias correction
    and decay, and the text says that these two are AdamW's and that the first Q is a
    full eigendecomposition: `released=False`. Of the authors' code are, here too: the
    first gradient moves nothing and enters neither M nor V; it gives L = (1 - β2) G Gᵀ,
    R and Q; t counts from the second gradient.

    `released=True` is that code where it differs: ε̂ is added before the correction, the
    decay comes last, W <- (1 - η λ) W, and before the power iteration the columns of Q
    (and V with them) are sorted by diag(Qᵀ L Q), largest first.

    A vector has no basis: AdamW from the second gradient on in the code
    (`precondition_1d=False`), and here; from the first in the paper. M is kept
    unrotated, in the code rotated: the same.

    Of the code's options are here too `correct_bias` (`bias_correction`),
    `precondition_1d` and `normalize_grads`, which divides Q_L N' Q_Rᵀ, without the
    correction, by its RMS. `one_sided` sets Q_L or Q_R to I (section 7.1).
    `sort` is that of the released code, or not, whatever the rest. `decays_at_once`:
    the first step decays too.

    The box is for a matrix. A tensor of more axes has a statistic and a basis for each
    of them, as in the code (`merge_dims=False`), but for axes longer than `max_dim`
    (`max_precond_dim`). `soap_merged` is `merge_dims=True`.

    The first G Gᵀ of a matrix that is not square has no full rank, so its eigenvectors
    of 0 are any basis: pass `bases`, one Q (or None) for each axis, for a comparison.
    """
    beta_l = b2 if shampoo_beta is None else shampoo_beta
    some = theta.ndim > 1 or (theta.ndim == 1 and precondition_1d)
    preconditioned = sides(theta.shape, one_sided) if some else ()
    if max_dim is not None:
        preconditioned = [i for i in preconditioned if theta.shape[i] <= max_dim]
    sort = released if sort is None else sort
    h = [np.zeros((n, n)) for n in theta.shape]
    q = [None] * theta.ndim
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        g = gradient(k, theta)
        if k > 0:
            eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
            g_rotated = rotate(g, q)
            m = beta1 * m + (1 - beta1) * g
            m_rotated = rotate(m, q)
            v = beta2 * v + (1 - beta2) * g_rotated**2
            w1 = beta1 * w1 + (1 - beta1)
            w2 = beta2 * w2 + (1 - beta2)
            if not bias_correction:
                w1 = w2 = 1.0
            outside = at(eps, k) / np.sqrt(w2) if released else at(eps, k)
            n = divide(m_rotated / w1, np.sqrt(v / w2) + outside)
            u = rotate_back(n, q)
            if normalize_grads:
                u = np.sqrt(w2) / w1 * divide(u, np.sqrt(np.mean(u**2)))
            stepped = theta - eta * u
            decayed = stepped if released else theta
            theta = stepped - eta * at(weight_decay, k) * decayed
        elif decays_at_once:
            theta = theta - at(learning_rate, k) * at(weight_decay, k) * theta
        for axis in preconditioned:
            unfolded = unfold(g, axis)
            beta = at(beta_l, k)
            h[axis] = beta * h[axis] + (1 - beta) * unfolded @ unfolded.T
            if k == 0:
                q[axis] = eigenbasis(h[axis]) if bases is None else bases[axis]
            elif q[axis] is not None and k % precondition_frequency == 0:
                basis = q[axis]
                if sort:
                    order = np.argsort(-np.diag(basis.T @ h[axis] @ basis))
                    basis, v = basis[:, order], np.take(v, order, axis)
                q[axis] = np.linalg.qr(h[axis] @ basis)[0]
        yield theta


@trajectory
def soap_in_blocks(theta, gradient, steps, *, block_size, **keywords):
    """SOAP with the blocks of Shampoo."""
    yield from in_blocks(soap, theta, gradient, steps, block_size, **keywords)


@trajectory
def soap_merged(theta, gradient, steps, *, max_dim, **keywords):
    """SOAP of the tensor with merged axes: `merge_dims=True` of the authors' code.

    A tensor that is merged to one axis has a statistic, unlike a vector.
    """
    keywords |= {"max_dim": max_dim, "precondition_1d": theta.ndim > 1}
    yield from on_merged(soap, theta, gradient, steps, max_dim, **keywords)
