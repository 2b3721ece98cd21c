"""AMSGrad: a denominator that never shrinks."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def amsgrad(theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """S. J. Reddi, S. Kale, S. Kumar, On the Convergence of Adam and Beyond, ICLR 2018,
    arXiv:1904.09237, Algorithm 2 (AMSGrad).

    Departs: the averages are corrected as in Adam and the maximum is over the corrected
    ones, v̂_t = max(v̂_{t-1}, v_t / (1 - β2^t)), as Optax has it. The paper corrects
    nothing (`amsgrad_paper`), torch takes the maximum first (`amsgrad_torch`).
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_hat = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        v_hat = np.maximum(v_hat, v / w2)
        theta = theta - alpha * divide(m / w1, np.sqrt(v_hat) + at(eps, k))
        yield theta


@trajectory
def amsgrad_torch(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
):
    """Reddi et al., arXiv:1904.09237, Algorithm 2, with the corrections of the
    pseudo-code of torch.optim.Adam and AdamW: v̂^max_t = max(v̂^max_{t-1}, v_t), divided
    by 1 - β2^t where it is used. `weight_decay` is AdamW's, decoupled.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_max = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        theta = theta - alpha * at(weight_decay, k) * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        v_max = np.maximum(v_max, v)
        theta = theta - alpha * divide(m / w1, np.sqrt(v_max / w2) + at(eps, k))
        yield theta


@trajectory
def amsgrad_paper(
    theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8
):
    """Reddi et al., arXiv:1904.09237, Algorithm 2: nothing is corrected, and α_t and
    β_1t may change. Departs: epsilon is added to the root (the paper has none), and
    there is no projection onto a feasible set.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    v_hat = np.zeros_like(theta)
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = np.maximum(v_hat, v)
        theta = theta - alpha * divide(m, np.sqrt(v_hat) + at(eps, k))
        yield theta
