"""A table, gradients of some of its rows, and sequential oracles in NumPy."""

import jax.numpy as jnp
import numpy as np

import adamx

N, WIDTH, STEPS = 7, 4, 5
RANDOM = np.random.default_rng(7)
TABLE = RANDOM.standard_normal((N, WIDTH))
# ids with duplicates, and padding: -1 and N
IDS = np.array([[1, 4, 1], [0, N, 1], [4, 4, 4], [-1, 5, 0], [1, 5, N]], np.int32)
ROWS = RANDOM.standard_normal((STEPS, 3, WIDTH))


def gradient(step, dtype=None):
    """The row-sparse gradient of a step."""
    rows = jnp.asarray(ROWS[step], dtype)
    return adamx.RowSparse(jnp.asarray(IDS[step]), rows, N)


def coalesced(step):
    """Its rows by id in NumPy: each once, padding left out."""
    found = {}
    for i, row in zip(IDS[step].tolist(), ROWS[step], strict=True):
        if 0 <= i < N:
            found[i] = found.get(i, 0) + row
    return found


def dense(step):
    table = np.zeros((N, WIDTH))
    for i, row in coalesced(step).items():
        table[i] = row
    return table


def sparse_adam(rate, b1=0.9, b2=0.999, eps=1e-8, by_row=False, decay=0.0):
    """torch.optim.SparseAdam as its documentation states it, in float64.

    Only moments and elements of rows in the gradient are read and written; bias is
    corrected by the number of all steps, or with `by_row` by those of the row. With
    `decay`, decoupled decay and moments of the steps that a row has missed are made up.

    Source: docs.pytorch.org, torch.optim.SparseAdam; Kingma & Ba 2014, Algorithm 1, in
    the order of the end of its section 2 (eps beside the root of the uncorrected v).
    """
    theta, m, v = TABLE.copy(), np.zeros((N, WIDTH)), np.zeros((N, WIDTH))
    count, last = np.zeros(N, int), np.zeros(N, int)
    for step in range(STEPS):
        for i, g in coalesced(step).items():
            count[i] += 1
            if decay:
                for _ in range(step - last[i]):
                    theta[i] *= 1 - rate * decay
                    m[i] *= b1
                    v[i] *= b2
                last[i] = step + 1
            t = count[i] if by_row else step + 1
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            size = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
            shrunk = rate * decay * theta[i]
            theta[i] = theta[i] - size * m[i] / (np.sqrt(v[i]) + eps) - shrunk
    return theta
