"""Any member, evaluated at an average: schedule-free, primal averaging, Lookahead, EMA.

Each takes a transformation with its rate and returns one whose `eval_params` differ
from its parameters.
"""

import functools
from typing import Any

from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper, is_zero
from ..engine.keywords import alias
from ..parts.bias_correction import Debiased, Rectified
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate, TimesRectifier, warmed_up
from ..parts.moments import Ema, Identity, square
from ..parts.parameter_averages import (
    ParamEma,
    PrimalAverage,
    ScheduleFree,
    SlowWeights,
)
from ..parts.weight_decay import WeightDecay


@alias
def schedule_free(
    tx: Any,
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    weight_lr_power: Hyper = 2.0,
    *,
    r: Hyper = 0.0,
) -> Chain:
    """Schedule-free: an average of the iterates in the place of a decaying rate.

        z ← z + u(∇L(y)),    c = kʳ ηᵖ / Σ kʳ ηᵖ,
        x ← x + c (z - x),   y = β x + (1 - β) z

    The parameters are y; `eval_params(state, params)` gives x.

    Args:
        tx: the transformation whose steps u move z, with its rate and without momentum.
        learning_rate: the rate of `tx`, for the weights.
        b1: β in (0, 1], how much of x is in y; it takes the place of momentum.
        weight_lr_power: p, the power of the largest rate so far in the weights.
        r: the power of the step k in the weights.

    State: that of `tx`, and `z`, from the parameters, 4 bytes per parameter, and three
    scalars, from 0.

    Departs from the paper: the weights are those of the authors' code. Optax's twin
    weighs a step by the rate of the next one where the rate is scheduled.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682.
    """
    return chain(tx, ScheduleFree(learning_rate, b1, weight_lr_power, r))


@alias
def schedule_free_adamw(
    learning_rate: Hyper = 0.0025,
    warmup_steps: int = 0,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper | Eps = 1e-8,
    weight_decay: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
    *,
    r: Hyper = 0.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free AdamW: AdamW without a first moment inside `schedule_free`.

        v ← β₂ v + (1 - β₂) g²,    z ← z - η (g / (sqrt(v̂) + ε) + λ y)

    and x, y as in `schedule_free`.

    Args:
        learning_rate: η ≥ 0.
        warmup_steps: W; the rate of step k < W is η k / W.
        b1: β in (0, 1], how much of x is in y.
        b2: β₂ in [0, 1).
        eps: ε ≥ 0, or an eps kind.
        weight_decay: λ ≥ 0, at y.
        weight_lr_power: see `schedule_free`.
        r: see `schedule_free`.
        mask: the leaves that decay.

    State: `nu` (v, from 0), `z` (from θ_0); 8 bytes per parameter, and three scalars,
    from 0.

    Departs from the paper: Algorithm 1 multiplies the rate, and so the weights, by
    sqrt(1 - β₂ᵗ), and has ε on the uncorrected root; this is the authors' reference
    code since version 1.3. Optax's warm-up starts at 0, the reference's at η / W.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, Algorithm 1,
    arXiv:2405.15682.
    """
    rate = warmed_up(learning_rate, warmup_steps)
    direction = Precondition(Identity(), by=Root(Debiased(Ema(b2, square, "nu")), eps))
    decay = () if is_zero(weight_decay) else (WeightDecay(weight_decay, mask),)
    steps = chain(direction, *decay, LearningRate(rate))
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


@alias
def schedule_free_radam(
    learning_rate: Hyper = 0.0025,
    b1: Hyper = 0.9,
    b2: Any = 0.999,
    eps: Hyper | Eps = 1e-8,
    weight_decay: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
    *,
    r: Hyper = 0.0,
    silent_sgd_phase: bool = True,
    threshold: Any = 4.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free RAdam: the rectifier in the place of a warm-up.

        ρ_t > threshold:  z ← z - η r_t (g / (sqrt(v̂) + ε) + λ y)
        before:           z stays, or z ← z - η (g + λ y) if the SGD phase is not silent

    and x, y as in `schedule_free`, the steps weighed by the rate so changed.

    Args:
        learning_rate: η ≥ 0.
        b1: β in (0, 1], how much of x is in y.
        b2: β₂ in [0, 1), a number.
        eps: ε ≥ 0, or an eps kind.
        weight_decay: λ ≥ 0, at y.
        weight_lr_power: see `schedule_free`.
        r: see `schedule_free`.
        silent_sgd_phase: no step, and no weight, while the variance is not trusted.
        threshold: the length ρ_t of the average from which it is.
        mask: the leaves that decay.

    State: `nu` (v, from 0), `z` (from θ_0); 8 bytes per parameter, and three scalars,
    from 0.

    Departs from the paper: no paper has it; this is the authors' code since 1.4.

    Raises:
        ValueError: an argument out of its range, or a `b2` that is no number.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682; r_t: Liu et al., ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    before = 0.0 if silent_sgd_phase else 1.0
    rectified = functools.partial(
        TimesRectifier, b2=b2, threshold=threshold, before=before
    )
    root = Root(Debiased(Ema(b2, square, "nu")), eps)
    rate, decays = rectified(learning_rate), not is_zero(weight_decay)
    if silent_sgd_phase:
        decay = (WeightDecay(weight_decay, mask),) if decays else ()
        last = LearningRate(rate)
    else:  # the direction has its r_t, the decay needs it too
        root = Rectified(root, threshold)
        decay = (WeightDecay(rectified(weight_decay), mask),) if decays else ()
        last = LearningRate(learning_rate)
    steps = chain(Precondition(Identity(), by=root), *decay, last)
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


@alias
def schedule_free_sgd(
    learning_rate: Hyper = 1.0,
    warmup_steps: int = 0,
    b1: Hyper = 0.9,
    weight_decay: Hyper = 0.0,
    weight_lr_power: Hyper = 2.0,
    *,
    r: Hyper = 0.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free SGD.

        z ← z - η (g + λ y)

    and x, y as in `schedule_free`.

    Args:
        learning_rate: η ≥ 0.
        warmup_steps: W; the rate of step k < W is η k / W.
        b1: β in (0, 1], how much of x is in y.
        weight_decay: λ ≥ 0, at y.
        weight_lr_power: see `schedule_free`.
        r: see `schedule_free`.
        mask: the leaves that decay.

    State: `z` (from θ_0); 4 bytes per parameter, and three scalars, from 0.

    Departs from the paper: as `schedule_free`.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682.
    """
    rate = warmed_up(learning_rate, warmup_steps)
    decay = () if is_zero(weight_decay) else (WeightDecay(weight_decay, mask),)
    steps = chain(*decay, LearningRate(rate))
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


@alias
def gpa(tx: Any, mu_y: Hyper = 0.7, mu_x: Hyper = 0.9967) -> Chain:
    """Generalized primal averaging of any member's steps.

        z ← z + u(∇L(y)),    x ← μ_x x + (1 - μ_x) z,    y = μ_y x + (1 - μ_y) z

    The parameters are y; `eval_params(state, params)` gives x.

    Args:
        tx: the transformation whose steps u move z, with its rate.
        mu_y: μ_y in (0, 1], how much of x is in y.
        mu_x: μ_x in [0, 1), the weight of the past in x.

    State: that of `tx`, and `z`, from the parameters as is x, 4 bytes per parameter,
    and one scalar.

    Departs from the paper: a decay inside `tx` acts at y, where its listing has z.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Defazio et al., "Smoothing DiLoCo with primal averaging for faster
    training of LLMs", 2025, arXiv:2512.17131.
    """
    return chain(tx, PrimalAverage(mu_y, mu_x))


@alias
def lookahead(tx: Any, sync_period: int = 5, slow_step_size: Hyper = 0.5) -> Chain:
    """Lookahead: k steps forward, one step back, with any member inside.

        each k steps:  slow ← slow + α (fast - slow),  fast ← slow

    The parameters are the fast weights; `eval_params(state, params)` gives the slow.

    Args:
        tx: the transformation that moves the fast weights, with its rate.
        sync_period: k ≥ 1.
        slow_step_size: α in [0, 1].

    State: that of `tx`, and `slow`, from the parameters, 4 bytes per parameter, and one
    scalar.

    Departs from the paper: nothing; the inner state is kept at a synchronisation
    ("maintaining"). `optax.lookahead` can reset it, but asks for pairs of parameters
    and does not go into a chain.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back",
    NeurIPS 2019, Algorithm 1, arXiv:1907.08610.
    """
    return chain(tx, SlowWeights(sync_period, slow_step_size))


@alias
def param_ema(tx: Any, decay: Hyper = 0.999) -> Chain:
    """Any member, evaluated at the bias-corrected moving average of its parameters.

        θ̄ ← β θ̄ + (1 - β) θ,    evaluate at θ̄ / (1 - βᵗ)

    Args:
        tx: the transformation that moves the parameters, with its rate.
        decay: β in [0, 1).

    State: that of `tx`, and `average`, 4 bytes per parameter, and two scalars. What
    stands in `average` before the first step, the parameters, has no weight.

    Departs from the paper: nothing.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015,
    section 7.2, arXiv:1412.6980.
    """
    return chain(tx, ParamEma(decay))
