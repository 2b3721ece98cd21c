"""Methods that keep less than one second moment for each parameter: Adafactor, CAME,
Adam-mini, SM3.

A tensor of two axes or more is factored over its last two; axes before them are stacked
matrices, each with its own factors. Sums over a row or a column are sums here, as in
the papers; the released codes keep means, which changes nothing: V = R C / ΣR.
"""

import numpy as np

from .form import at, divide, trajectory

EPSILON = float(np.finfo(np.float64).eps)


def rms(x) -> float:
    """Root of the mean square of the whole tensor."""
    return float(np.sqrt(np.mean(np.square(x))))


def rows(x):
    """X 1_m: the sum of each row, an axis of length 1 in its place."""
    return x.sum(axis=-1, keepdims=True)


def columns(x):
    """1_nᵀ X: the sum of each column, likewise."""
    return x.sum(axis=-2, keepdims=True)


def outer(r, c):
    """R C / 1_nᵀ R."""
    return divide(r * c, columns(r))


@trajectory
def adafactor(
    theta,
    gradient,
    steps,
    *,
    learning_rate=None,
    decay_rate=0.8,
    clipping_threshold=1.0,
    momentum=None,
    eps=1e-30,
    eps_scale=1e-3,
    multiply_by_parameter_scale=True,
    factored=True,
):
    """N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory
    Cost, ICML 2018, arXiv:1804.04235, Algorithm 4 (matrices), 5 (vectors) and 6 (the
    proposed hyperparameters): ε1 = `eps`, ε2 = `eps_scale`, d = `clipping_threshold`
    (None: no clipping), ρ_t = min(10⁻², 1/sqrt(t)), β̂2_t = 1 - t^-0.8.

    `learning_rate` takes the place of ρ_t; None is the paper's relative step, which
    still has the scale of the parameters (α_t = max(ε2, RMS(X)) ρ_t) unless
    `multiply_by_parameter_scale=False`. `decay_rate` is 0.8, or a function of k that
    gives β̂2 itself.

    No algorithm box has a first moment, though the experiments compare β1 = 0.9 with
    β1 = 0. `momentum` is that of the authors' code (tensor2tensor and Mesh
    TensorFlow): a plain average, not corrected, of α_t Û_t, so the rate is inside.
    That code factors a tensor if it has two axes that are large enough (128 in Optax).

    `optax.adafactor` is this, with `momentum` as here, and: a learning rate of None
    means no rate at all, not ρ_t; `weight_decay_rate` is added without the rate; the
    two largest axes are factored; and ones shorter than 128 are not.
    """
    factor = factored and theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    m = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        rho = min(1e-2, 1 / np.sqrt(t))
        rho = rho if learning_rate is None else at(learning_rate, k)
        scale = max(at(eps_scale, k), rms(theta))
        alpha = scale * rho if multiply_by_parameter_scale else rho
        g = gradient(k, theta)
        beta2 = decay_rate(k) if callable(decay_rate) else 1 - t**-decay_rate
        squared = g**2 + at(eps, k)
        if factor:
            r = beta2 * r + (1 - beta2) * rows(squared)
            c = beta2 * c + (1 - beta2) * columns(squared)
            v = outer(r, c)
        else:
            v = beta2 * v + (1 - beta2) * squared
        u = divide(g, np.sqrt(v))
        d = at(clipping_threshold, k)
        u_hat = u if d is None else u / max(1.0, rms(u) / d)
        if momentum is None:
            theta = theta - alpha * u_hat
        else:
            beta1 = at(momentum, k)
            m = beta1 * m + (1 - beta1) * alpha * u_hat
            theta = theta - m
        yield theta


@trajectory
def adafactor_torch(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    decay_rate=0.8,
    clipping_threshold=1.0,
    eps=EPSILON,
    eps_scale=1e-3,
    weight_decay=0.0,
):
    """Adafactor as `torch.optim.Adafactor` documents it. From the paper it departs in:
    ρ_t = min(lr, 1/sqrt(t)); decay first, θ <- θ - lr λ θ, after RMS(θ) was taken;
    ε1 (by default the dtype's epsilon) is not added to G²: V̂ = R C / max(1ᵀR, ε1) with
    row and column *means*, and Û = G / max(sqrt(V̂), ε1).
    """
    factor = theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        gamma = at(learning_rate, k)
        rho = min(gamma, 1 / np.sqrt(t))
        alpha = max(at(eps_scale, k), rms(theta)) * rho
        g = gradient(k, theta)
        theta = theta - gamma * at(weight_decay, k) * theta
        beta2 = 1 - t**-decay_rate
        if factor:
            r = beta2 * r + (1 - beta2) * rows(g**2) / g.shape[-1]
            c = beta2 * c + (1 - beta2) * columns(g**2) / g.shape[-2]
            v_hat = r * c / np.maximum(columns(r) / g.shape[-2], eps)
        else:
            v = beta2 * v + (1 - beta2) * g**2
            v_hat = v
        u = g / np.maximum(np.sqrt(v_hat), eps)
        theta = theta - alpha * u / max(1.0, rms(u) / clipping_threshold)
        yield theta


@trajectory
def came(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    b3=0.9999,
    eps=1e-30,
    eps_instability=1e-16,
    clipping_threshold=1.0,
    weight_decay=0.0,
):
    """Y. Luo, X. Ren, Z. Zheng, et al., CAME: Confidence-guided Adaptive Memory
    Efficient Optimization, ACL 2023, arXiv:2307.02047, Algorithm 2:

    r, c: factors of EMA(G² + ε1), β2;  Û = G / sqrt(V), clipped to RMS d;
    M: EMA of Û, β1;  R, C: factors of EMA((Û - M)² + ε2), β3;
    θ <- θ - η M / sqrt(S),  S = R C / 1ᵀR.

    Nothing is corrected for the bias. The algorithm has matrices only. For a vector the
    authors' code keeps v whole and steps along M, without confidence; the decay is
    decoupled and first, θ <- θ - η λ θ. Both are here; neither is in the algorithm.
    """
    factor = theta.ndim >= 2
    r = np.zeros_like(rows(theta)) if factor else None
    c = np.zeros_like(columns(theta)) if factor else None
    big_r = np.zeros_like(rows(theta)) if factor else None
    big_c = np.zeros_like(columns(theta)) if factor else None
    v = np.zeros_like(theta)
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, d = at(learning_rate, k), at(clipping_threshold, k)
        beta1, beta2, beta3 = at(b1, k), at(b2, k), at(b3, k)
        g = gradient(k, theta)
        squared = g**2 + at(eps, k)
        if factor:
            r = beta2 * r + (1 - beta2) * rows(squared)
            c = beta2 * c + (1 - beta2) * columns(squared)
            v = outer(r, c)
        else:
            v = beta2 * v + (1 - beta2) * squared
        u = divide(g, np.sqrt(v))
        u_hat = u / max(1.0, rms(u) / d)
        m = beta1 * m + (1 - beta1) * u_hat
        theta = theta - eta * at(weight_decay, k) * theta
        if factor:
            instability = (u_hat - m) ** 2 + at(eps_instability, k)
            big_r = beta3 * big_r + (1 - beta3) * rows(instability)
            big_c = beta3 * big_c + (1 - beta3) * columns(instability)
            s = outer(big_r, big_c)
            theta = theta - eta * divide(m, np.sqrt(s))
        else:
            theta = theta - eta * m
        yield theta


def by_rows(shape):
    """A partition in which each entry of the first axis is a block (a neuron)."""
    labels = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return np.broadcast_to(labels, shape)


def by_columns(shape):
    """A partition in which each entry of the last axis is a block; a vector is one."""
    return np.broadcast_to(np.arange(shape[-1]) if len(shape) > 1 else 0, shape)


@trajectory
def adam_mini(
    theta,
    gradient,
    steps,
    *,
    blocks=None,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
):
    """Y. Zhang, C. Chen, Z. Li, et al., Adam-mini: Use Fewer Learning Rates To Gain
    More, ICLR 2025, arXiv:2406.16793, Algorithm 1 (and 2 and 3 for the partition):
    v_b <- (1 - β2) mean(g_b ∘ g_b) + β2 v_b, one for each block, then Adam with
    decoupled decay, p <- p - η λ p first.

    `blocks` has the shape of `theta` and the label of each entry's block, or is a
    function of the shape that returns such labels; None is one block. The partition by
    the role of a tensor (query and key by head, the rest by output neuron, embeddings
    by token, norms whole) is a choice of blocks: `by_rows`.
    """
    blocks = blocks(theta.shape) if callable(blocks) else blocks
    labels = np.zeros(theta.shape, int) if blocks is None else np.asarray(blocks)
    counts = np.bincount(labels.ravel())
    m = np.zeros_like(theta)
    v = np.zeros(len(counts))
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        theta = theta - eta * at(weight_decay, k) * theta
        m = (1 - beta1) * g + beta1 * m
        w1 = beta1 * w1 + (1 - beta1)
        m_hat = m / w1
        mean = np.bincount(labels.ravel(), weights=(g * g).ravel()) / counts
        v = (1 - beta2) * mean + beta2 * v
        w2 = beta2 * w2 + (1 - beta2)
        v_hat = v / w2
        theta = theta - eta * divide(m_hat, np.sqrt(v_hat[labels]) + at(eps, k))
        yield theta


def slices(x, axis):
    """The maximum over all axes but `axis`, which is kept in its place."""
    others = tuple(a for a in range(x.ndim) if a != axis)
    return x.max(axis=others, keepdims=True)


@trajectory
def sm3(theta, gradient, steps, *, learning_rate, momentum=0.9, eps=0.0):
    """R. Anil, V. Gupta, T. Koren, Y. Singer, Memory-Efficient Adaptive Optimization,
    NeurIPS 2019, arXiv:1901.11150, Algorithm SM3-II, the sets S_r being the slices of a
    tensor across each axis (the paper's recommended cover; a vector is AdaGrad):

    ν(i) = min_{r: S_r ∋ i} μ(r) + g(i)²;  w <- w - η g / sqrt(ν), 0/0 = 0;
    μ(r) = max_{j ∈ S_r} ν(j).

    The algorithm has no momentum (`momentum=0`); the experiments do, as the authors'
    code does it: an average, not corrected, of g / sqrt(ν). `eps` is inside the root:
    0 in the paper, 1e-30 in the authors' code.

    `optax.sm3` has `momentum=0.9` and eps 1e-8 inside the root: a gradient of 1e-4
    moves 0.7 of what it should on the first step.
    """
    whole = np.atleast_1d(theta).shape
    axes = range(len(whole))
    mu = [slices(np.zeros(whole), axis) for axis in axes]
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, beta = at(learning_rate, k), at(momentum, k)
        g = gradient(k, theta)
        smallest = mu[0]
        for other in mu[1:]:
            smallest = np.minimum(smallest, other)
        nu = np.broadcast_to(smallest, whole).reshape(theta.shape) + g**2
        u = divide(g, np.sqrt(nu + eps))
        m = beta * m + (1 - beta) * u
        theta = theta - eta * m
        mu = [slices(nu.reshape(whole), axis) for axis in axes]
        yield theta


@trajectory
def sm3_i(theta, gradient, steps, *, learning_rate):
    """The same paper, Algorithm SM3-I: μ(r) <- μ(r) + max_{j ∈ S_r} g(j)², then
    ν(i) = min_{r: S_r ∋ i} μ(r). Its ν is never below that of SM3-II.
    """
    whole = np.atleast_1d(theta).shape
    axes = range(len(whole))
    mu = [slices(np.zeros(whole), axis) for axis in axes]
    for k in range(steps):
        g = gradient(k, theta)
        mu = [mu[axis] + slices(g.reshape(whole) ** 2, axis) for axis in axes]
        nu = mu[0]
        for other in mu[1:]:
            nu = np.minimum(nu, other)
        nu = np.broadcast_to(nu, whole).reshape(theta.shape)
        theta = theta - at(learning_rate, k) * divide(g, np.sqrt(nu))
        yield theta
