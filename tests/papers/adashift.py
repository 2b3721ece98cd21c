"""AdaShift: a denominator that has not seen the last n gradients."""

import numpy as np

from .form import at, divide, trajectory


def _adashift(theta, gradient, steps, learning_rate, n, b1, b2, eps, phi):
    past: list[np.ndarray] = []  # g_{t-n}, …, g_{t-1}
    v = np.zeros_like(theta)
    w2 = np.zeros_like(theta)  # 1 - Π β2 since v is positive
    started = np.zeros_like(theta, bool)
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        if len(past) == n:
            v = beta2 * v + (1 - beta2) * phi(past.pop(0) ** 2)
        past.append(g)
        started = started | (v > 0)
        w2 = np.where(started, beta2 * w2 + (1 - beta2), 0.0)
        weights = [beta1**i for i in range(len(past))]
        m = sum(w * g for w, g in zip(weights, reversed(past), strict=True))
        m = m / sum(weights)
        v_hat = divide(v, w2)
        step = divide(m, np.sqrt(v_hat) + at(eps, k))
        theta = theta - alpha * np.where(started, step, 0.0)
        yield theta


@trajectory
def adashift(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    n=10,
    b1=0.9,
    b2=0.999,
    eps=1e-10,
):
    """Z. Zhou, Q. Zhang, G. Lu, H. Wang, W. Zhang, Y. Yu, AdaShift: Decorrelation and
    Convergence of Adaptive Learning Rate Methods, ICLR 2019, arXiv:1810.00143, the
    AdaShift algorithm with φ = max over the leaf (max-AdaShift):

        m_t = Σ_{i<n} β1^i g_{t-i} / Σ_{i<n} β1^i
        v_t = β2 v_{t-1} + (1 - β2) φ(g²_{t-n}),  θ_t = θ_{t-1} - α m_t / sqrt(v_t)

    From the authors' code: epsilon is added to the root; v is divided by 1 - β2^(t-n);
    nothing moves until v is positive, thus for the n first steps, where the listing
    asks for n gradients from before the start.
    """

    def phi(squares):
        return np.broadcast_to(np.max(squares), squares.shape)

    return _adashift(theta, gradient, steps, learning_rate, n, b1, b2, eps, phi)


@trajectory
def adashift_elementwise(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-2,
    n=10,
    b1=0.9,
    b2=0.999,
    eps=1e-10,
):
    """Zhou et al., arXiv:1810.00143, with φ the identity (non-AdaShift); `adashift`.

    A place waits for its own v to be positive and is corrected from there, as in the
    authors' code: after zero gradients it would else be divided by epsilon alone.
    """
    return _adashift(
        theta, gradient, steps, learning_rate, n, b1, b2, eps, lambda squares: squares
    )
