"""Gradient descent with heavy-ball or Nesterov momentum."""

import numpy as np

from .form import at, trajectory


@trajectory
def sgd(
    theta,
    gradient,
    steps,
    *,
    learning_rate,
    momentum=0.0,
    nesterov=False,
    dampening=0.0,
):
    """B. T. Polyak, Some methods of speeding up the convergence of iteration methods,
    1964; I. Sutskever, J. Martens, G. Dahl, G. Hinton, On the importance of
    initialization and momentum in deep learning, ICML 2013 (Nesterov's, eqs. 3, 4).

    The form is that of the pseudo-code of torch.optim.SGD: the rate multiplies the
    buffer when it is applied, the first buffer is the gradient itself (no dampening),
    and momentum 0 keeps no buffer, so dampening then does nothing. Departs from
    Sutskever et al., whose velocity holds the rate: equal while the rate is constant.
    """
    keeps_buffer = callable(momentum) or momentum != 0
    b = np.zeros_like(theta)
    for k in range(steps):
        t = k + 1
        gamma = at(learning_rate, k)
        mu = at(momentum, k)
        tau = at(dampening, k)
        g = gradient(k, theta)
        if keeps_buffer:
            b = mu * b + (1 - tau) * g if t > 1 else g
            g = g + mu * b if nesterov else b
        theta = theta - gamma * g
        yield theta
