"""PSGD with a Kronecker factored preconditioner, P = QᵀQ, Q fitted on a Lie group.

The paper draws v at random: `probe(k, shape)` gives it. Its balancing of the factors is
not here: it multiplies Q_L by what it divides Q_R by, which leaves every A, B and step
as it was.
"""

import numpy as np

from .form import at, trajectory


def annealed(k):
    """The probability of an update of Q in the authors' code, n = k + 1 from 1."""
    return min(max(np.exp(-0.001 * (k + 1 - 500)), 0.03), 1.0)


def norm_estimate(symmetric):
    """A lower bound of ‖S‖₂ from the longest row of S, one product of it with S."""
    row = symmetric[np.argmax(np.sum(symmetric**2, axis=1))]
    once = symmetric @ row
    return np.linalg.norm(symmetric @ once) / np.linalg.norm(once)


@trajectory
def psgd_kron(
    theta,
    gradient,
    steps,
    *,
    probe,
    learning_rate,
    b1=0.9,
    preconditioner_lr=0.1,
    damping=2.0**-11.5,
    clipping_threshold=1.1,
    weight_decay=0.0,
    preconditioner_update_probability=annealed,
    diagonal=(),
    start=1.0,
):
    """X.-L. Li, Preconditioner on Matrix Lie Group for SGD, ICLR 2019,
    arXiv:1809.10232, and O. Pooladzandi, X.-L. Li, Curvature-Informed SGD via General
    Purpose Lie-Group Preconditioners, 2024, arXiv:2402.04553: for v ~ N(0, 1)

    A = Q_L G Q_Rᵀ;  B = Q_L^-ᵀ V Q_R^-1;
    Q_L <- Q_L - μ triu(A Aᵀ - B Bᵀ) / ‖A Aᵀ + B Bᵀ‖ Q_L,  likewise Q_R of Aᵀ, Bᵀ;
    θ <- θ - η Q_LᵀQ_L G Q_RᵀQ_R

    with the diagonal in place of triu where Q is diagonal (`diagonal` has the axes).
    Of the authors' code are: G is the bias-corrected average of the gradients, to which
    for the fit δ mean|G| V is added; ‖·‖ is an estimate, for a diagonal Q exact; Q is
    fitted when the steps since it was last fitted are at least 1 / p; the step is
    divided by max(1, RMS / 1.1); decay is decoupled. A vector or scalar has a diagonal
    Q. Ours: where G is 0, Q stays as it is.
    """
    shape = theta.shape
    matrix = theta.ndim == 2
    sides = shape if matrix else (theta.size,)
    q = [start ** (1 / len(sides)) * np.eye(n) for n in sides]
    flat = [not matrix or n == 1 or i in diagonal for i, n in enumerate(sides)]
    m, w, waited = np.zeros_like(theta), 0.0, 0
    for k in range(steps):
        beta = at(b1, k)
        m = beta * m + (1 - beta) * gradient(k, theta)
        w = beta * w + (1 - beta)
        g = (m / w).reshape(sides[0], -1)
        waited += 1
        if waited >= 1 / at(preconditioner_update_probability, k):
            waited = 0
            if np.any(g):
                v = np.reshape(probe(k, shape), g.shape)
                fit = g + at(damping, k) * np.mean(np.abs(g)) * v
                a, b = q[0] @ fit, np.linalg.inv(q[0]).T @ v
                if matrix:
                    a, b = a @ q[1].T, b @ np.linalg.inv(q[1])
                for i in range(len(q)):
                    s, t = (x @ x.T for x in ((a, b) if i == 0 else (a.T, b.T)))
                    if flat[i]:
                        e = np.diag(np.diag(s - t) / np.max(np.diag(s + t)))
                    else:
                        e = np.triu(s - t) / norm_estimate(s + t)
                    q[i] = q[i] - at(preconditioner_lr, k) * e @ q[i]
        u = q[0].T @ q[0] @ g
        if matrix:
            u = u @ q[1].T @ q[1]
        u = u / max(1.0, np.sqrt(np.mean(u**2)) / at(clipping_threshold, k))
        step = u.reshape(shape) + at(weight_decay, k) * theta
        theta = theta - at(learning_rate, k) * step
        yield theta
