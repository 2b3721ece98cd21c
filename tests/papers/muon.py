"""Methods that see a matrix as one thing: Muon, AdaMuon, Shampoo, SOAP.

All arithmetic is float64, the Newton-Schulz iteration too (the released codes run it in
bfloat16). Nothing here depends on the sign of an eigenvector: Shampoo uses functions of
a symmetric matrix only, and in SOAP a sign of a column of Q comes back with Q.
"""

import functools

import numpy as np

from .adam import adam
from .form import at, divide, trajectory

QUINTIC = (3.4445, -4.7750, 2.0315)


def frobenius(x) -> float:
    """|X|_F."""
    return float(np.sqrt(np.sum(np.square(x))))


def newton_schulz(g, ns_steps=5, coefficients=QUINTIC, eps=1e-7):
    """X <- a X + (b A + c A²) X with A = X Xᵀ, from X = G / (|G|_F + ε), five times.

    On the transpose where G has more rows than columns: the same in exact arithmetic.
    """
    a, b, c = coefficients
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (frobenius(x) + eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        polynomial = b * gram + c * gram @ gram
        x = a * x + polynomial @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon_scale(shape, consistent_rms=None, out_axis=0):
    """sqrt(max(1, out / in)), or `consistent_rms` sqrt(max(out, in))."""
    out, into = shape[out_axis], shape[1 - out_axis]
    if consistent_rms is None:
        return np.sqrt(max(1.0, out / into))
    return consistent_rms * np.sqrt(max(out, into))


@trajectory
def muon(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.02,
    beta=0.95,
    eps=1e-7,
    weight_decay=0.0,
    nesterov=True,
    consistent_rms=None,
    out_axis=0,
    average=True,
    corrected=False,
    ns_steps=5,
    coefficients=QUINTIC,
):
    """K. Jordan, Y. Jin, V. Boza, et al., Muon: An optimizer for hidden layers in
    neural networks, 2024, kellerjordan.github.io/posts/muon, and its `muon.py`.

    The post: B <- μ B + G; O <- NewtonSchulz5(B); θ <- θ - η O, "Nesterov-style" with
    G + μ B in place of B. The code takes an average, B <- μ B + (1 - μ) G and
    (1 - μ) G + μ B: the same up to ε, since the iteration does not see the size
    (`average=False` is the post's). It scales by sqrt(max(1, rows / columns)) and
    decays first, θ <- (1 - η λ) θ.

    `consistent_rms=0.2` scales by 0.2 sqrt(max(rows, columns)) instead: J. Liu, J. Su,
    X. Yao, et al., Muon is Scalable for LLM Training, 2025, arXiv:2502.16982, eq. 4.

    rows / columns is out / in, for a weight stored as torch does, (out, in). JAX's
    kernels are (in, out): `out_axis=1` is the same rule for them. Moonshot's scale and
    the iteration are the same either way.

    `optax.contrib.muon` has out / in for (in, out), ε = 1e-8, and corrects the bias of
    both terms of the Nesterov sum, β B / (1 - β^{t+1}) + (1 - β) G / (1 - β^t), which
    turns the direction in the first steps (`corrected=True`). `torch.optim.Muon` is
    this with max(|X|, ε) in place of |X| + ε.
    """
    momentum = np.zeros_like(theta)
    w = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, mu = at(learning_rate, k), at(beta, k)
        g = gradient(k, theta)
        entering = 1 - mu if average else 1.0
        momentum = mu * momentum + entering * g
        w = mu * w + (1 - mu)
        now, then = (w, mu * w + (1 - mu)) if corrected else (1.0, 1.0)
        if nesterov:
            ahead = entering * g / now + mu * momentum / then
        else:
            ahead = momentum / now
        o = newton_schulz(ahead, ns_steps, coefficients, at(eps, k))
        theta = (1 - eta * at(weight_decay, k)) * theta
        theta = theta - eta * muon_scale(theta.shape, consistent_rms, out_axis) * o
        yield theta


@trajectory
def adamuon(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.02,
    beta=0.95,
    b2=None,
    eps=1e-8,
    weight_decay=0.0,
    nesterov=False,
    sign=True,
    ns_steps=5,
    coefficients=QUINTIC,
    eps_norm=1e-7,
    eps_rms=0.0,
):
    """C. Si, D. Zhang, W. Shen, AdaMuon: Adaptive Muon Optimizer, 2025,
    arXiv:2507.11005 (v2 on), Algorithm 1:

    M <- β M + G;  O = NewtonSchulz(Sign(M));  V <- β V + (1 - β) O ∘ O;
    Ô = O / (sqrt(V) + ε);  γ = 0.2 sqrt(mn) / |Ô|_F;  W <- W - η (γ Ô + λ W).

    One β for both (`b2=None`); V is not corrected, as γ takes any factor out again, up
    to ε. The authors' code has M as an average (the same sign), Nesterov's
    (1 - β) G + β M inside the sign (`nesterov=True`), and |Ô|_F + ε in γ
    (`eps_rms=1e-8`). Version 1 of the paper has no sign (`sign=False`).
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    for k in range(steps):
        eta, mu = at(learning_rate, k), at(beta, k)
        second = mu if b2 is None else at(b2, k)
        g = gradient(k, theta)
        m = mu * m + (1 - mu) * g
        ahead = (1 - mu) * g + mu * m if nesterov else m
        seen = np.sign(ahead) if sign else ahead
        o = newton_schulz(seen, ns_steps, coefficients, eps_norm)
        v = second * v + (1 - second) * o * o
        o_hat = divide(o, np.sqrt(v) + at(eps, k))
        gamma = divide(0.2 * np.sqrt(theta.size), frobenius(o_hat) + eps_rms)
        gamma = gamma if frobenius(o_hat) else 0.0
        theta = theta - eta * (gamma * o_hat + at(weight_decay, k) * theta)
        yield theta


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


@trajectory
def shampoo(theta, gradient, steps, *, learning_rate, eps=1e-4, b2=None, exponent=None):
    """V. Gupta, T. Koren, Y. Singer, Shampoo: Preconditioned Stochastic Tensor
    Optimization, ICML 2018, arXiv:1802.09568, Algorithm 1 (matrices) and 2 (tensors of
    order q): H_i = ε I + Σ G^(i) G^(i)ᵀ, and the gradient times H_i^(-1/2q) along every
    axis; L^(-1/4) G R^(-1/4) for a matrix, AdaGrad with a full matrix for a vector.

    Preconditioners are accumulated and used on every step, nothing is grafted.
    `b2` makes them averages, H <- β2 H + (1 - β2) G Gᵀ (from ε I), as R. Anil, V.
    Gupta, T. Koren, et al., Scalable Second Order Optimization for Deep Learning, 2020,
    arXiv:2002.09018; `exponent` takes the place of -1/(2q).
    """
    axes = range(theta.ndim)
    h = [eps * np.eye(n) for n in theta.shape]
    for k in range(steps):
        g = gradient(k, theta)
        u = g
        for axis in axes:
            unfolded = unfold(g, axis)
            statistic = unfolded @ unfolded.T
            if b2 is None:
                h[axis] = h[axis] + statistic
            else:
                h[axis] = at(b2, k) * h[axis] + (1 - at(b2, k)) * statistic
            p = -1 / (2 * theta.ndim) if exponent is None else exponent
            u = along(u, axis, power(h[axis], p))
        theta = theta - at(learning_rate, k) * u
        yield theta


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
    bases=None,
    released=True,
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

    The first G Gᵀ of a matrix that is not square has no full rank, so its eigenvectors
    of 0 are any basis: pass `bases`, one Q (or None) for each axis, for a comparison.
    """
    beta_l = b2 if shampoo_beta is None else shampoo_beta
    preconditioned = range(theta.ndim) if theta.ndim > 1 else ()
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
            outside = at(eps, k) / np.sqrt(w2) if released else at(eps, k)
            n = divide(m_rotated / w1, np.sqrt(v / w2) + outside)
            stepped = theta - eta * rotate_back(n, q)
            decayed = stepped if released else theta
            theta = stepped - eta * at(weight_decay, k) * decayed
        for axis in preconditioned:
            unfolded = unfold(g, axis)
            beta = at(beta_l, k)
            h[axis] = beta * h[axis] + (1 - beta) * unfolded @ unfolded.T
            if k == 0:
                q[axis] = eigenbasis(h[axis]) if bases is None else bases[axis]
            elif q[axis] is not None and k % precondition_frequency == 0:
                basis = q[axis]
                if released:
                    order = np.argsort(-np.diag(basis.T @ h[axis] @ basis))
                    basis, v = basis[:, order], np.take(v, order, axis)
                q[axis] = np.linalg.qr(h[axis] @ basis)[0]
        yield theta


def adam_elsewhere(oracle):
    """A method for matrices, and Adam without decay for a leaf of other axes."""

    @functools.wraps(oracle)
    def either(theta, gradient, steps, *, learning_rate, **keywords):
        if np.ndim(theta) == 2:
            keywords["learning_rate"] = learning_rate
            return oracle(theta, gradient, steps, **keywords)
        return adam(theta, gradient, steps, learning_rate=learning_rate)

    return either


muon_or_adam = adam_elsewhere(muon)
adamuon_or_adam = adam_elsewhere(adamuon)


def shampoo_of_an_axis(theta, gradient, steps, **keywords):
    """Shampoo, a scalar being a vector of one entry."""
    shape = np.shape(theta)

    def along_an_axis(k, point):
        return np.reshape(gradient(k, point.reshape(shape)), point.shape)

    path = shampoo(np.atleast_1d(theta), along_an_axis, steps, **keywords)
    return path.reshape(steps, *shape)
