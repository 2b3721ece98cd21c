"""Methods with one number for each tensor: LAMB, LARS, NovoGrad, StableAdamW, AdamP.

A norm is the root of the sum of squares of a whole tensor. Where a ratio of two norms
has a zero above or below, the papers say nothing; the released codes of LAMB and LARS
take 1 for the ratio, and so do these.
"""

import numpy as np

from .form import at, divide, trajectory


def norm(x) -> float:
    """|x|_2 of the whole tensor."""
    return float(np.sqrt(np.sum(np.square(x))))


def trust(above: float, below: float) -> float:
    """above / below, and 1 where one of them is 0."""
    return 1.0 if above == 0 or below == 0 else above / below


@trajectory
def lamb(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-6,
    weight_decay=0.0,
    phi=lambda z: z,
    debias=True,
):
    """Y. You, J. Li, S. Reddi, et al., Large Batch Optimization for Deep Learning:
    Training BERT in 76 minutes, ICLR 2020, arXiv:1904.00962, Algorithm 2.

    φ is the identity, which the paper uses and states; it also names
    min(max(z, γl), γu). The authors' TensorFlow code leaves out the two lines of bias
    correction, and says so: `debias=False`.

    `optax.lamb` is Algorithm 2 with φ the identity and 1 for a ratio with a zero.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        lam = at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = m / w1 if debias else m
        v_hat = v / w2 if debias else v
        r = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        ratio = trust(phi(norm(theta)), norm(r + lam * theta))
        theta = theta - eta * ratio * (r + lam * theta)
        yield theta


@trajectory
def lars(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    weight_decay=0.0,
    trust_coefficient=0.001,
    eps=0.0,
    momentum=0.9,
    norm_of_sum=False,
):
    """Y. You, I. Gitman, B. Ginsburg, Large Batch Training of Convolutional Networks,
    2017, arXiv:1708.03888, Algorithm 1: local rate λ = η |w| / (|g| + β |w|), and the
    rates inside the momentum, v <- m v + γ λ (g + β w), w <- w - v.

    `learning_rate` is γ, `trust_coefficient` η, `weight_decay` β, `momentum` m. The
    paper has no epsilon. `norm_of_sum=True` divides by |g + β w| in place of
    |g| + β |w|: that is `optax.lars`, which agrees with the paper for β = 0 only.
    """
    v = np.zeros_like(theta)
    for k in range(steps):
        gamma, beta = at(learning_rate, k), at(weight_decay, k)
        g = gradient(k, theta)
        below = norm(g + beta * theta) if norm_of_sum else norm(g) + beta * norm(theta)
        ratio = trust(norm(theta), below + at(eps, k) if below else 0.0)
        local = ratio * (at(trust_coefficient, k) if norm(theta) and below else 1.0)
        v = at(momentum, k) * v + gamma * local * (g + beta * theta)
        theta = theta - v
        yield theta


@trajectory
def lars_of_momentum(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    weight_decay=0.0,
    momentum=0.9,
    phi=lambda z: z,
):
    """LARS as arXiv:1904.00962, Algorithm 1, states it: the moment first, an average,
    then the ratio of norms of the moment, and the rate outside:
    m <- β1 m + (1 - β1)(g + λ x), x <- x - η φ(|x|) / |m| m.
    """
    m = np.zeros_like(theta)
    for k in range(steps):
        eta, beta1, lam = at(learning_rate, k), at(momentum, k), at(weight_decay, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * (g + lam * theta)
        theta = theta - eta * trust(phi(norm(theta)), norm(m)) * m
        yield theta


@trajectory
def novograd(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.95,
    b2=0.98,
    eps=1e-8,
    eps_root=0.0,
    weight_decay=0.0,
    averaging=False,
):
    """B. Ginsburg, P. Castonguay, O. Hrinchuk, et al., Stochastic Gradient Methods with
    Layer-wise Adaptive Moments for Training of Deep Networks, 2019, arXiv:1905.11286,
    Algorithm 1: v_1 = |g_1|², m_1 = g_1 / sqrt(v_1) + d w_1, then
    v <- β2 v + (1 - β2)|g|², m <- β1 m + (g / (sqrt(v) + ε) + d w), w <- w - λ m.

    Departs: the paper's line for the first moment has no ε; here every step has.
    The decay is in the moment, so it is decoupled from v and not from m.
    `averaging=True` multiplies what enters m by 1 - β1 (in the authors' code,
    `grad_averaging`). The authors' code has ε inside the root, g / sqrt(v + ε): that is
    `eps=0, eps_root=ε`. It also starts v again whenever v is exactly 0, so that
    leading zero gradients do not count as the first; the paper, and this, start at 1.

    `optax.novograd` is Algorithm 1 with b1=0.9, b2=0.25, eps=1e-6 for defaults.
    """
    v = 0.0
    m = np.zeros_like(theta)
    for k in range(steps):
        lam, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        d = at(weight_decay, k)
        g = gradient(k, theta)
        squared = norm(g) ** 2
        v = squared if k == 0 else beta2 * v + (1 - beta2) * squared
        entering = divide(g, np.sqrt(v + at(eps_root, k)) + at(eps, k)) + d * theta
        m = beta1 * m + (1 - beta1 if averaging else 1.0) * entering
        theta = theta - lam * m
        yield theta


@trajectory
def stable_adamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    b1=0.9,
    b2=0.99,
    eps=1e-6,
    weight_decay=0.0,
):
    """M. Wortsman, T. Dettmers, L. Zettlemoyer, et al., Stable and low-precision
    training for large-scale vision-language models, NeurIPS 2023, arXiv:2304.13013,
    Algorithm 2 (StableAdamW).

    The correction is in the decays, β̂ = β (1 - β^{t-1}) / (1 - β^t), so v and u are
    the corrected averages themselves; β̂ = 0 on the first step. The letters are the
    paper's: v is the first moment and u the second. RMS is of the gradient, not of the
    update. With a changing decay, 1 - β^t is 1 - Π β_i.
    """
    v = np.zeros_like(theta)
    u = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        epsilon, lam = at(eps, k), at(weight_decay, k)
        g = gradient(k, theta)
        before1, before2 = w1, w2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        beta1_hat = beta1 * before1 / w1
        beta2_hat = beta2 * before2 / w2
        v = beta1_hat * v + (1 - beta1_hat) * g
        u = beta2_hat * u + (1 - beta2_hat) * g**2
        rms = np.sqrt(np.mean(divide(g**2, np.maximum(u, epsilon**2))))
        eta = alpha / max(1.0, rms)
        theta = theta - eta * lam * theta - eta * divide(v, np.sqrt(u) + epsilon)
        yield theta


def channels(x):
    """One row for each entry of the first axis."""
    return x.reshape(len(x), -1)


def layer(x):
    """One row with everything."""
    return x.reshape(1, -1)


def project(w, p, view, eps):
    """Π_w(p) = p - (ŵ·p) ŵ, with ŵ = w / |w|, for each row of the view."""
    rows, directions = view(w), view(p)
    lengths = np.sqrt(np.sum(rows**2, axis=1, keepdims=True))
    unit = divide(rows, lengths + eps)
    radial = np.sum(unit * directions, axis=1, keepdims=True)
    return (directions - radial * unit).reshape(w.shape)


def cosines(w, g, view):
    """|cos(w, g)| for each row of the view, 0 where one of them is 0."""
    rows, gradients = view(w), view(g)
    above = np.abs(np.sum(rows * gradients, axis=1))
    lengths = np.sqrt(np.sum(rows**2, axis=1)), np.sqrt(np.sum(gradients**2, axis=1))
    return divide(above, lengths[0] * lengths[1])


@trajectory
def adamp(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    delta=0.1,
    wd_ratio=0.1,
    nesterov=False,
    debias=True,
    eps_norm=0.0,
):
    """B. Heo, S. Chun, S. J. Oh, et al., AdamP: Slowing Down the Slowdown for Momentum
    Optimizers on Scale-invariant Weights, ICLR 2021, arXiv:2006.08217, Algorithm 2:
    p = m / (sqrt(v) + ε); q = Π_w(p) if cos(w, ∇f) < δ / sqrt(dim w), else p;
    w <- w - η q. Here cos(a, b) = |aᵀb| / (|a||b|).

    The algorithm has one test for each tensor. Its text, and the authors' code, test
    the rows of the first axis ("channel-wise"), all of which must pass, and then the
    whole tensor; the first that passes decides, and a tensor of fewer than two axes is
    never projected. The code decays first, by 1 - η λ, or by 1 - η λ wd_ratio where it
    projects, and both tests and projection see the parameters before that. The code
    corrects the bias (the algorithm does not: `debias=False`) and adds ε to |w| in ŵ
    (`eps_norm`; the paper has none).
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        eta, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        ahead = beta1 * m + (1 - beta1) * g if nesterov else m
        m_hat = ahead / w1 if debias else ahead
        v_hat = v / w2 if debias else v
        p = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        q, ratio = p, 1.0
        if theta.ndim > 1:
            for view in (channels, layer):
                dimension = view(theta).shape[1]
                if cosines(theta, g, view).max() < delta / np.sqrt(dimension):
                    q, ratio = project(theta, p, view, eps_norm), wd_ratio
                    break
        theta = theta - eta * at(weight_decay, k) * ratio * theta
        theta = theta - eta * q
        yield theta
