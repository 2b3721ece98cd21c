"""What is done to a gradient before the method sees it, and to a step after.

The functions that take and return a gradient function go around the gradient of any
oracle: `adam(theta, centralised(gradient), steps)`. Those with a state are oracles with
Adam or AdamW under them.
"""

import numpy as np

from .form import at, divide, trajectory


def before(change):
    """`change(g, k, ...)` as a change of a gradient function, leaf for leaf."""

    def around(gradient, *arguments, **keywords):
        def changed(k, theta):
            g = gradient(k, theta)
            if isinstance(g, list):
                return [change(leaf, k, *arguments, **keywords) for leaf in g]
            return change(np.asarray(g, np.float64), k, *arguments, **keywords)

        return changed

    return around


@before
def centralised(g, k, axes=None):
    """H. Yong, J. Huang, X. Hua, L. Zhang, Gradient Centralization: A New Optimization
    Technique for Deep Neural Networks, ECCV 2020, arXiv:2004.01461, eq. 1: from each
    weight vector's gradient its mean is taken.

    The mean is over all axes but the first, as in the authors' code, where the first is
    the output; JAX keeps the output last: give the `axes` of the mean. Vectors and
    scalars are left alone.
    """
    if g.ndim < 2:
        return g
    axes = tuple(range(1, g.ndim)) if axes is None else axes
    return g - np.mean(g, axis=axes, keepdims=True)


@before
def clipped(g, k, max_delta):
    """Elementwise clip to [-max_delta, max_delta]."""
    return np.clip(g, -at(max_delta, k), at(max_delta, k))


@before
def clipped_per_tensor(g, k, max_norm):
    """R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training Recurrent Neural
    Networks, ICML 2013, arXiv:1211.5063, Algorithm 1, for each tensor by itself:
    g threshold / |g| if |g| >= threshold."""
    norm = np.sqrt(np.sum(g**2))
    threshold = at(max_norm, k)
    return g * (threshold / norm) if norm >= threshold and norm > 0 else g


@before
def clipped_rms(g, k, threshold=1.0):
    """N. Shazeer, M. Stern, Adafactor, ICML 2018, arXiv:1804.04235, Algorithm 4:
    U / max(1, RMS(U) / d) with RMS(U) the root of the mean square of one tensor. The
    paper clips the step; this is the same function of whatever it is given."""
    rms = np.sqrt(np.mean(g**2))
    return g / np.maximum(1.0, rms / at(threshold, k))


@before
def noisy(g, k, noise, eta=0.01, gamma=0.55):
    """A. Neelakantan, L. Vilnis, Q. V. Le, I. Sutskever, L. Kaiser, K. Kurach,
    J. Martens, Adding Gradient Noise Improves Learning for Very Deep Networks, 2015,
    arXiv:1511.06807: g + N(0, σ_t²), σ_t² = η / (1 + t)^γ from t = 0.

    The draw from N(0, 1) is given: `noise(k)`, an array of g's shape.
    """
    return g + np.sqrt(eta / (1 + k) ** gamma) * noise(k)


def norm(leaves):
    """The Euclidean norm of a list of arrays, all of them one vector."""
    return np.sqrt(sum(np.sum(leaf**2) for leaf in leaves))


@trajectory
def adagc_adamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    decay=0.98,
    lambda_abs=1.0,
    lambda_rel=1.05,
    warmup=100,
):
    """G. Wang, S. Li, C. Chen, J. Zeng, J. Yang, D. Yu, Y. Ma, L. Shen, AdaGC:
    Enhancing LLM Pretraining Stability via Adaptive Gradient Clipping, ICML 2026,
    arXiv:2502.11034, Algorithm 1 with AdamW. θ is a list of leaves.

    In the steps t < `warmup` (T_start) all leaves are clipped together to the norm
    `lambda_abs` and each γ_i is the smallest clipped norm of its leaf so far (∞ before
    the first); then h_i = min(λ_rel γ_i / |g_i|, 1) for each leaf alone and γ_i is the
    average, `decay` its β, of the clipped norms. A leaf whose gradient is zero once
    during the warm-up is clipped to zero for ever: that is the algorithm.
    """
    m = [np.zeros_like(leaf) for leaf in theta]
    v = [np.zeros_like(leaf) for leaf in theta]
    smallest = [np.inf for _ in theta]
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, lam = at(learning_rate, k), at(weight_decay, k)
        beta1, beta2, beta = at(b1, k), at(b2, k), at(decay, k)
        g = gradient(k, theta)
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        if t < warmup:
            whole = norm(g)
            h = min(lambda_abs / whole, 1.0) if whole > 0 else 1.0
            g = [h * leaf for leaf in g]
            smallest = [min(s, norm([x])) for s, x in zip(smallest, g, strict=True)]
        else:
            for i, leaf in enumerate(g):
                size = norm([leaf])
                h = min(lambda_rel * smallest[i] / size, 1.0) if size > 0 else 1.0
                g[i] = h * leaf
                smallest[i] = beta * smallest[i] + (1 - beta) * norm([g[i]])
        m = [beta1 * a + (1 - beta1) * x for a, x in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * x**2 for a, x in zip(v, g, strict=True)]
        u = [
            divide(a / w1, np.sqrt(b / w2) + at(eps, k))
            for a, b in zip(m, v, strict=True)
        ]
        theta = [x - alpha * (y + lam * x) for x, y in zip(theta, u, strict=True)]
        yield theta


@trajectory
def adam_spike_clip(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    threshold=5000.0,
    warmup=20,
):
    """T. Huang, Z. Zhu, G. Jin, L. Liu, Z. Wang, S. Liu, SPAM: Spike-Aware Adam with
    Momentum Reset for Stable LLM Training, ICLR 2025, arXiv:2501.06842, the spike-aware
    clip alone, under Adam: where g² > θ v, g becomes sign(g) sqrt(θ v).

    v is Adam's, uncorrected and of the step before, as in the authors' code. Nothing is
    clipped before step t = `warmup` (that code's grad_accu_steps): from v = 0 every
    gradient would be clipped to 0. The whole method is `spam`.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        t = k + 1
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        if t >= warmup:
            most = at(threshold, k) * v
            g = np.where(g**2 > most, np.sign(g) * np.sqrt(most), g)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        theta = theta - alpha * divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        yield theta


@trajectory
def adam_norm_growth_limited(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    limit=1.01,
    norm_eps=0.0,
):
    """X. Chen, K. Feng, C. Li, X. Lai, X. Yue, Y. Yuan, G. Wang, Fira: Can We Achieve
    Full-rank Training of LLMs Under Low-rank Constraint?, 2024, arXiv:2410.01623, the
    norm-growth limiter on Adam's step of one tensor: if |S_t| / |S_{t-1}| > γ then S_t
    becomes S_t / |S_t| γ |S_{t-1}|, where S_{t-1} is the one that was taken.

    The first step is not limited. The authors' code has `norm_eps` = 1e-8 added to
    |S_{t-1}|. In the paper a step of exactly zero is never left again.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    size_before = None
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        u = divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        size = norm([u])
        if size_before is not None:
            most = at(limit, k) * (size_before + norm_eps)
            if size > most:
                u = u / size * most
        size_before = norm([u])
        theta = theta - alpha * u
        yield theta


def qk_clipped(w_q, w_k, largest, tau=100.0, alpha=0.5):
    """Kimi Team, Kimi K2: Open Agentic Intelligence, 2025, arXiv:2507.20534, Algorithm
    1 (MuonClip), the part after the step, for attention with a key for each query head:
    if S_max^h > τ then γ_h = τ / S_max^h and W_q^h <- γ_h^α W_q^h,
    W_k^h <- γ_h^(1-α) W_k^h, with α = 0.5.

    The axis of the heads is the last but one. `largest` is S_max, one for each head.
    """
    w_q, w_k = np.array(w_q, np.float64), np.array(w_k, np.float64)
    for h, s in enumerate(largest):
        if s > tau:
            gamma = tau / s
            w_q[..., h, :] *= gamma**alpha
            w_k[..., h, :] *= gamma ** (1 - alpha)
    return w_q, w_k
