"""Adam-mini: one second moment for each block."""

import numpy as np

from .form import at, divide, trajectory


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
