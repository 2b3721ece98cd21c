"""LAMB: Adam's step scaled by a trust ratio for each tensor.

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
