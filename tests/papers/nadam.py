"""Adam with Nesterov's look-ahead: Dozat's form, torch's, and AlgoPerf's NAdamW."""

import numpy as np

from .form import at, divide, trajectory


@trajectory
def nadam(theta, gradient, steps, *, learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    """T. Dozat, Incorporating Nesterov Momentum into Adam, ICLR 2016 workshop,
    Algorithm 2 (Nadam), with μ_t = `b1` and ν = `b2`:

        m̂ = μ_{t+1} m_t / (1 - Π_{i≤t+1} μ_i) + (1 - μ_t) g_t / (1 - Π_{i≤t} μ_i)

    A constant `b1` is the simplified form, without the paper's warming schedule of μ;
    a function of the step is asked for μ_{t+1} one step ahead, `b1(k + 1)`.
    """
    m = np.zeros_like(theta)
    n = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π μ_i, 1 - Π ν_i
    for k in range(steps):
        alpha, nu = at(learning_rate, k), at(b2, k)
        mu, mu_next = at(b1, k), at(b1, k + 1)
        g = gradient(k, theta)
        m = mu * m + (1 - mu) * g
        n = nu * n + (1 - nu) * g**2
        w1 = mu * w1 + (1 - mu)
        w1_next = mu_next * w1 + (1 - mu_next)
        w2 = nu * w2 + (1 - nu)
        m_hat = mu_next * m / w1_next + (1 - mu) * g / w1
        n_hat = n / w2
        theta = theta - alpha * divide(m_hat, np.sqrt(n_hat) + at(eps, k))
        yield theta


@trajectory
def nadam_torch(
    theta,
    gradient,
    steps,
    *,
    learning_rate=2e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    momentum_decay=4e-3,
    weight_decay=0.0,
):
    """Dozat's Nadam with his warming schedule as the pseudo-code of torch.optim.NAdam
    has it: μ_t = β1 (1 - 0.96^(t ψ) / 2), ψ = `momentum_decay`.

    Departs from Algorithm 2: the average m decays by β1 while its corrections are the
    products of μ_t. `weight_decay` is that page's decoupled kind.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w_mu = w2 = 0.0  # 1 - Π μ_i, 1 - Π β2
    for k in range(steps):
        t = k + 1
        gamma, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        psi = at(momentum_decay, k)
        g = gradient(k, theta)
        theta = theta - gamma * at(weight_decay, k) * theta
        mu = beta1 * (1 - 0.96 ** (t * psi) / 2)
        mu_next = beta1 * (1 - 0.96 ** ((t + 1) * psi) / 2)
        w_mu = mu * w_mu + (1 - mu)
        w_mu_next = mu_next * w_mu + (1 - mu_next)
        w2 = beta2 * w2 + (1 - beta2)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = mu_next * m / w_mu_next + (1 - mu) * g / w_mu
        v_hat = v / w2
        theta = theta - gamma * divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        yield theta


@trajectory
def nadamw(
    theta,
    gradient,
    steps,
    *,
    learning_rate=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=1e-4,
):
    """Dozat's Nadam, Algorithm 2, as `nadam`, with the decay of AdamW (Loshchilov &
    Hutter, arXiv:1711.05101) added to the update, before the rate.
    """
    m = np.zeros_like(theta)
    n = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π μ_i, 1 - Π ν_i
    for k in range(steps):
        alpha, nu = at(learning_rate, k), at(b2, k)
        mu, mu_next = at(b1, k), at(b1, k + 1)
        g = gradient(k, theta)
        m = mu * m + (1 - mu) * g
        n = nu * n + (1 - nu) * g**2
        w1 = mu * w1 + (1 - mu)
        w1_next = mu_next * w1 + (1 - mu_next)
        w2 = nu * w2 + (1 - nu)
        m_hat = mu_next * m / w1_next + (1 - mu) * g / w1
        n_hat = n / w2
        u = divide(m_hat, np.sqrt(n_hat) + at(eps, k))
        theta = theta - alpha * (u + at(weight_decay, k) * theta)
        yield theta


@trajectory
def nadamw_algoperf(
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
    """NAdam as D. Choi et al., On Empirical Comparisons of Optimizers for Deep
    Learning, arXiv:1910.05446, Table 1, write it, with decoupled decay: the NAdamW of
    the AlgoPerf benchmark (G. Dahl et al., arXiv:2306.07179), whose code settles it.

        m̂ = (β1 m_t + (1 - β1) g_t) / (1 - β1^t)

    One correction for both terms, where Dozat has one for each.
    """
    m = np.zeros_like(theta)
    v = np.zeros_like(theta)
    w1 = w2 = 0.0  # 1 - Π β_i
    for k in range(steps):
        alpha, beta1, beta2 = at(learning_rate, k), at(b1, k), at(b2, k)
        g = gradient(k, theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w1 = beta1 * w1 + (1 - beta1)
        w2 = beta2 * w2 + (1 - beta2)
        m_hat = (beta1 * m + (1 - beta1) * g) / w1
        v_hat = v / w2
        u = divide(m_hat, np.sqrt(v_hat) + at(eps, k))
        theta = theta - alpha * (u + at(weight_decay, k) * theta)
        yield theta
