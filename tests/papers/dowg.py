"""DoWG: DoG with the gradients weighted by the distance. It couples all leaves."""

import math

import numpy as np

from .form import at, divide
from .one_vector import one_vector


@one_vector
def dowg(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    init_estim_sq_dist=1e-4,
    eps=0.0,
    weight_decay=0.0,
):
    """A. Khaled, K. Mishchenko, C. Jin, DoWG Unleashed: An Efficient Universal
    Parameter-Free Gradient Descent Method, NeurIPS 2023, arXiv:2305.16284, Algorithm 1:

        r̄_t = max(|x_t - x_0|, r̄_{t-1}),   v_t = v_{t-1} + r̄_t² |g_t|²,
        η_t = r̄_t² / sqrt(v_t),            x_{t+1} = x_t - η_t g_t

    from r̄_{-1}² = `init_estim_sq_dist`. The paper has no epsilon; the authors' code
    adds 1e-4 to sqrt(v_t) and starts r̄² at the same number. Departs: `learning_rate`
    and `weight_decay` (coupled), 1 and 0 in the paper.
    """
    x, x_0 = theta, theta
    r_squared, v = init_estim_sq_dist, 0.0
    for k in range(steps):
        g = gradient(k, x) + at(weight_decay, k) * x
        r_squared = max(r_squared, np.dot(x - x_0, x - x_0))
        v = v + r_squared * np.dot(g, g)
        step = divide(r_squared * g, math.sqrt(v) + eps)
        x = x - at(learning_rate, k) * step
        yield x
