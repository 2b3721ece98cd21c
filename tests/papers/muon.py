"""Muon: the momentum of a matrix, orthogonalised.

All arithmetic is float64, the Newton-Schulz iteration too (the released codes run it in
bfloat16).
"""

import functools

import numpy as np

from .adam import adam
from .form import at, divide, trajectory
from .soap import eigenbasis, rotate, rotate_back

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


def muon_scale(shape, consistent_rms=None, out_axis=0, least=1.0):
    """sqrt(max(least, out / in)), or `consistent_rms` sqrt(max(out, in))."""
    out, into = shape[out_axis], shape[1 - out_axis]
    if consistent_rms is None:
        return np.sqrt(max(least, out / into))
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
    least=1.0,
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
    this with max(|X|, ε) in place of |X| + ε, and has sqrt(out / in) too, without the
    1 (`least=0`), as "spectral_unclamped".
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
        scale = muon_scale(theta.shape, consistent_rms, out_axis, least)
        theta = theta - eta * scale * o
        yield theta


def adam_elsewhere(oracle):
    """A method for matrices, and Adam without decay for a leaf of other axes.

    `adam_b2` is Adam's β2.
    """

    @functools.wraps(oracle)
    def either(theta, gradient, steps, *, learning_rate, adam_b2=0.999, **keywords):
        if np.ndim(theta) == 2:
            keywords["learning_rate"] = learning_rate
            return oracle(theta, gradient, steps, **keywords)
        return adam(theta, gradient, steps, learning_rate=learning_rate, b2=adam_b2)

    return either


muon_or_adam = adam_elsewhere(muon)


@trajectory
def soap_then_muon(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.02,
    b1=0.95,
    b2=0.9,
    eps=1e-8,
    precondition_frequency=10,
    eps_newton=1e-7,
    out_axis=0,
):
    """The "SOAP-Muon" of the NanoGPT speedrun, github.com/KellerJordan/modded-nanogpt,
    pull request 278, 2026: what SOAP makes of a matrix (N. Vyas et al.,
    arXiv:2409.11321, Algorithms 3 and 4, with the text's correction and first Q:
    tests/papers/soap.py) is what Muon orthogonalises,

    N = Q_L (Q_Lᵀ M Q_R / (sqrt(V̂) + ε)) Q_Rᵀ;  O <- NewtonSchulz5(N);
    W <- W - η sqrt(max(1, out / in)) O.

    Departs from the pull request: M is SOAP's average, there it looks ahead (Nesterov);
    V is that of the gradient, there of the momentum; the first step is 0, there Muon's.
    It also brings N to the length of M, which O does not see.
    """
    h = [np.zeros((n, n)) for n in theta.shape]
    q = [None, None]
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        g = gradient(k, theta)
        if k > 0:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * rotate(g, q) ** 2
            w1, w2 = b1 * w1 + (1 - b1), b2 * w2 + (1 - b2)
            n = divide(rotate(m, q) / w1, np.sqrt(v / w2) + eps)
            o = newton_schulz(rotate_back(n, q), eps=eps_newton)
            scale = muon_scale(theta.shape, None, out_axis)
            theta = theta - at(learning_rate, k) * scale * o
        h = [
            b2 * old + (1 - b2) * x
            for old, x in zip(h, (g @ g.T, g.T @ g), strict=True)
        ]
        if k == 0:
            q = [eigenbasis(x) for x in h]
        elif k % precondition_frequency == 0:
            q = [np.linalg.qr(x @ y)[0] for x, y in zip(h, q, strict=True)]
        yield theta
