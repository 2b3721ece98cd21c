"""AdamP: the step projected off the direction of scale-invariant weights."""

import numpy as np

from .form import at, divide, trajectory


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
