"""Schedule-Free SGD, AdamW and RAdam: methods of three sequences.

The gradient is taken at y, the step changes z, and x is the average to evaluate with.
Every oracle returns (y, x): the parameters that one trains with, and those that one
evaluates with, after each step. All three start at θ.
"""

import numpy as np

from . import exact
from .form import at, divide
from .one_vector import one_vector


def warm(learning_rate, warmup_steps, k):
    """The rate at step k with the reference's linear warm-up."""
    return at(learning_rate, k) * (
        min((k + 1) / warmup_steps, 1) if warmup_steps else 1
    )


class Weights:
    """c_{k+1} = w_k / Σ w_i with w_k = (k + 1)^r max(rates so far)^weight_lr_power.

    0 / 0 is 0, as in the reference.
    """

    def __init__(self, weight_lr_power, r):
        self.power, self.r = weight_lr_power, r
        self.largest, self.sum = -1.0, 0.0

    def share(self, k, rate):
        self.largest = max(rate, self.largest)
        weight = (k + 1) ** self.r * self.largest**self.power
        self.sum += weight
        return weight / self.sum if self.sum else 0.0


@one_vector
def schedule_free_sgd(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1.0,
    b1=0.9,
    weight_decay=0.0,
    warmup_steps=0,
    weight_lr_power=2.0,
    r=0.0,
):
    """A. Defazio, X. Yang, H. Mehta, K. Mishchenko, A. Khaled, A. Cutkosky, The Road
    Less Scheduled, NeurIPS 2024, arXiv:2405.15682, eq. 3-5, with the weights, the decay
    and the warm-up of the authors' reference implementation.

    c is γ²/Σγ² over the largest rate so far, so c = 1 at the first step and x = z; the
    paper's text has c_{t+1} = 1 / (t + 1) and does not say that t starts at 0. The
    decay is coupled, with y: g + λ y.
    """
    x = y = z = theta
    c = Weights(weight_lr_power, r)
    for k in range(steps):
        beta, lam = at(b1, k), at(weight_decay, k)
        gamma = warm(learning_rate, warmup_steps, k)
        c_k = c.share(k, gamma)
        g = gradient(k, y) + lam * y
        z = z - gamma * g
        x = (1 - c_k) * x + c_k * z
        y = beta * x + (1 - beta) * z
        yield y, x


@one_vector
def schedule_free_adamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.0025,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    warmup_steps=0,
    weight_lr_power=2.0,
    r=0.0,
    inner_b1=0.0,
    decay_at_z=False,
):
    """Defazio et al., arXiv:2405.15682, Schedule-Free AdamW in the form of the authors'
    AdamWScheduleFreeReference of version 1.3 and later.

    Differs from the paper's Algorithm 1, `schedule_free_adamw_paper`: the correction
    divides v, so it is no part of the rate, of the decay or of the weights. `inner_b1`
    is the reference's later inner_momentum: an average of the gradient with Adam's
    correction inside the step to z, on top of b1's interpolation.
    """
    x = y = z = theta
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    c = Weights(weight_lr_power, r)
    for k in range(steps):
        beta1, beta2, inner = at(b1, k), at(b2, k), at(inner_b1, k)
        gamma = warm(learning_rate, warmup_steps, k)
        c_k = c.share(k, gamma)
        g = gradient(k, y)
        z = z - gamma * at(weight_decay, k) * (z if decay_at_z else y)
        v = beta2 * v + (1 - beta2) * g**2
        w2 = beta2 * w2 + (1 - beta2)
        m = inner * m + (1 - inner) * g
        w1 = inner * w1 + (1 - inner)
        z = z - gamma * divide(m / w1, np.sqrt(v / w2) + at(eps, k))
        x = (1 - c_k) * x + c_k * z
        y = beta1 * x + (1 - beta1) * z
        yield y, x


@one_vector
def schedule_free_adamw_paper(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.0025,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    warmup_steps=0,
):
    """Defazio et al., arXiv:2405.15682, Algorithm 1 (Schedule-Free AdamW), with
    γ_t = γ sqrt(1 - β2^t) min(1, t / T_warmup), z_{t+1} = z_t - γ_t g_t / (sqrt(v_t) +
    ε) - γ_t λ y_t and c_{t+1} = γ_t² / Σ γ_i². No departure.

    Epsilon is on the uncorrected root. The correction slows the decay early and enters
    the weights; the authors call it AdamWScheduleFreePaper.
    """
    x = y = z = theta
    v = np.zeros_like(theta)
    w2 = sum_of_squares = 0.0
    for k in range(steps):
        beta1, beta2 = at(b1, k), at(b2, k)
        g = gradient(k, y)
        v = beta2 * v + (1 - beta2) * g**2
        w2 = beta2 * w2 + (1 - beta2)
        gamma = warm(learning_rate, warmup_steps, k) * np.sqrt(w2)
        step = divide(g, np.sqrt(v) + at(eps, k)) + at(weight_decay, k) * y
        z = z - gamma * step
        sum_of_squares = sum_of_squares + gamma**2
        c_k = gamma**2 / sum_of_squares if sum_of_squares else 0.0
        x = (1 - c_k) * x + c_k * z
        y = beta1 * x + (1 - beta1) * z
        yield y, x


@one_vector
def schedule_free_radam(
    theta,
    gradient,
    steps,
    *,
    learning_rate=0.0025,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    weight_lr_power=2.0,
    r=0.0,
    silent_sgd_phase=True,
    threshold=4.0,
):
    """RAdamScheduleFree of the authors' package (1.4 and later; no paper has it): the
    scheme of arXiv:2405.15682 with the rate and the branches of RAdam,
    arXiv:1908.03265, Algorithm 2.

    The rate is γ r_t where ρ_t > 4 and the step then g / (sqrt(v̂) + ε); before, the
    rate is 0, or γ with the step g if `silent_sgd_phase` is False. The rate so changed
    is also that of the weights: silent steps have weight 0. `b2` is a number.
    """
    x = y = z = theta
    v = np.zeros_like(theta)
    w2 = 0.0
    c = Weights(weight_lr_power, r)
    for k in range(steps):
        t = k + 1
        beta1 = at(b1, k)
        g = gradient(k, y)
        v = b2 * v + (1 - b2) * g**2
        w2 = b2 * w2 + (1 - b2)
        rectified = float(exact.rho(t, b2)) > threshold
        if rectified:
            rate = float(exact.rectifier(t, b2))
            step = divide(g, np.sqrt(v / w2) + at(eps, k))
        else:
            rate = 0.0 if silent_sgd_phase else 1.0
            step = g
        gamma = at(learning_rate, k) * rate
        c_k = c.share(k, gamma)
        z = z - gamma * (step + at(weight_decay, k) * y)
        x = (1 - c_k) * x + c_k * z
        y = beta1 * x + (1 - beta1) * z
        yield y, x
