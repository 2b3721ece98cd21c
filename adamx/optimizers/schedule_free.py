"""Schedule-free optimizers: an average of the iterates replaces a decaying rate.

`schedule_free` takes any transformation with its rate; the others are made for AdamW,
RAdam and SGD. Evaluate the model at `eval_params(state, params)`.
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    check_fields,
    hyper,
    option,
    scheduled,
)
from ..engine.keywords import checked_keywords
from ..engine.options import Range, whole
from ..engine.value import Value
from ..numerics.arithmetic import rectifier, rho
from ..parts.bias_correction import Rectified
from ..parts.denominators import Eps, Precondition
from ..parts.moments import Identity
from ..parts.parameter_averages import ScheduleFree
from ..parts.weight_decay import Decay, decoupled, with_rate
from .adam import adam_denominator


@checked_keywords
def schedule_free(
    tx: Any,
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule = 0.9,
    weight_lr_power: ScalarOrSchedule = 2.0,
    *,
    r: ScalarOrSchedule = 0.0,
) -> Chain:
    """Schedule-free: average the iterates instead of decaying the learning rate.

        z ← z + u(∇L(y)),    c = kʳ ηᵖ / Σ kʳ ηᵖ,
        x ← x + c (z - x),   y = β x + (1 - β) z

    The parameters are y; `eval_params(state, params)` gives x.

    Args:
        tx: the transformation whose steps u move z, with its rate and without momentum.
        learning_rate: the rate of `tx`, for the weights.
        b1: β in (0, 1], how much of x is in y; it replaces momentum.
        weight_lr_power: p, the power of the largest rate so far in the weights.
        r: the power of the step k in the weights.

    State: that of `tx`, and `z`, from the parameters, 4 bytes per parameter, and three
    scalars, from 0.

    Departs from the paper: the weights are those of the authors' code. Optax's
    counterpart weighs a step by the rate of the next one where the rate is scheduled.

    Raises:
        ValueError: an argument out of its range.
        TypeError: `tx` is no gradient transformation.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682.
    """
    return chain(tx, ScheduleFree(learning_rate, b1, weight_lr_power, r))


@checked_keywords
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: int | None = None,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    weight_lr_power: ScalarOrSchedule = 2.0,
    *,
    r: ScalarOrSchedule = 0.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free AdamW: wrap AdamW without its first moment in `schedule_free`.

        v ← β₂ v + (1 - β₂) g²,    z ← z - η (g / (sqrt(v̂) + ε) + λ y)

    and x, y as in `schedule_free`.

    Args:
        learning_rate: η ≥ 0.
        warmup_steps: W; the rate of step k < W is η k / W; None or 0 for none.
        b1: β in (0, 1], how much of x is in y.
        b2: β₂ in [0, 1).
        eps: ε ≥ 0, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, at y.
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
    direction = Precondition(Identity(), by=adam_denominator(b2, eps))
    decay = decoupled(weight_decay, mask)
    steps = chain(direction, *with_rate(rate, *decay))
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


@checked_keywords
def schedule_free_radam(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: ScalarOrSchedule = 0.9,
    b2: float = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    weight_lr_power: ScalarOrSchedule = 2.0,
    *,
    r: ScalarOrSchedule = 0.0,
    silent_sgd_phase: bool = True,
    threshold: float = 4.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free RAdam: rectify the rate, which replaces a warm-up.

        ρ_t > threshold:  z ← z - η r_t (g / (sqrt(v̂) + ε) + λ y)
        before:           z stays, or z ← z - η (g + λ y) if the SGD phase is not silent

    and x, y as in `schedule_free`, the steps weighed by the rate so changed.

    Args:
        learning_rate: η ≥ 0.
        b1: β in (0, 1], how much of x is in y.
        b2: β₂ in [0, 1), a number.
        eps: ε ≥ 0, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, at y.
        weight_lr_power: see `schedule_free`.
        r: see `schedule_free`.
        silent_sgd_phase: take no step and add no weight until ρ_t exceeds `threshold`.
        threshold: the length ρ_t of the average above which v̂ is used, at least 4.
        mask: the leaves that decay.

    State: `nu` (v, from 0), `z` (from θ_0); 8 bytes per parameter, and three scalars,
    from 0.

    Departs from the paper: no paper describes it; this is the authors' code since 1.4.

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: a `b2` or `threshold` that is no number.

    Reference: Defazio et al., "The road less scheduled", NeurIPS 2024, eq. 3-5,
    arXiv:2405.15682; r_t: Liu et al., ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """
    before = 0.0 if silent_sgd_phase else 1.0
    rectified = functools.partial(
        RectifiedSchedule, b2=b2, threshold=threshold, before=before
    )
    rate, decays = rectified(learning_rate), decoupled(weight_decay, mask)
    root = adam_denominator(b2, eps)
    if silent_sgd_phase:
        end = with_rate(rate, *decays)
    else:  # the direction contains r_t already, the decay needs it too
        root = Rectified(root, threshold)
        scaled = (
            dataclasses.replace(decay, weight_decay=rectified(decay.weight_decay))
            if decay.takes == "direction"
            else decay
            for decay in decays
        )
        end = with_rate(learning_rate, *scaled)
    steps = chain(Precondition(Identity(), by=root), *end)
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


@checked_keywords
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: int | None = None,
    b1: ScalarOrSchedule = 0.9,
    weight_decay: ScalarOrSchedule | Decay | None = None,
    weight_lr_power: ScalarOrSchedule = 2.0,
    *,
    r: ScalarOrSchedule = 0.0,
    mask: Any = None,
) -> Chain:
    """Schedule-free SGD: wrap SGD without momentum in `schedule_free`.

        z ← z - η (g + λ y)

    and x, y as in `schedule_free`.

    Args:
        learning_rate: η ≥ 0.
        warmup_steps: W; the rate of step k < W is η k / W; None or 0 for none.
        b1: β in (0, 1], how much of x is in y.
        weight_decay: λ ≥ 0 or a decay part, at y.
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
    decay = decoupled(weight_decay, mask)
    steps = chain(*with_rate(rate, *decay))
    return schedule_free(steps, rate, b1, weight_lr_power, r=r)


class LinearWarmup(Value):
    """Multiply a rate by a linear warm-up: `min(k / W, 1) η` at step k, from 1.

    Args:
        learning_rate: η ≥ 0, a number, an array or a schedule.
        steps: W.
    """

    learning_rate: Hyper = hyper(allowed=NON_NEGATIVE)
    steps: int = option(1, least=1, kw_only=False)

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, count: Any) -> Any:
        rate: Any = self.learning_rate
        rate = rate(count) if callable(rate) else rate
        return rate * jnp.minimum((jnp.asarray(count, float) + 1) / self.steps, 1)


def warmed_up(learning_rate: Any, steps: Any) -> Any:
    """Return the rate with a warm-up over `steps` steps; the rate itself if 0."""
    steps = 0 if steps is None else steps
    steps = whole("warmed_up", "warmup_steps", steps, Range(least=0))
    return LinearWarmup(learning_rate, steps) if steps else learning_rate


class RectifiedSchedule(Value):
    """Multiply a schedule by RAdam's r_t, or by `before` while ρ_t ≤ threshold.

    Args:
        value: a number, an array or a schedule.
        b2: β₂ in [0, 1) of the second moment, a number.
        threshold: the length ρ_t of the average above which v̂ is used, at least 4.
        before: the factor until then.

    Reference: Liu et al., "On the variance of the adaptive learning rate and beyond",
    ICLR 2020, Algorithm 2, arXiv:1908.03265.
    """

    value: Hyper = hyper(allowed=NON_NEGATIVE)
    b2: float = option(
        0.999,
        least=0,
        below=1,
        advice="Pass a constant such as 0.999: r_t of a schedule is not known.",
        kw_only=False,
    )
    threshold: float = option(
        4.0,
        least=4,
        advice="Below 4 the variance is not defined; 4 is usual.",
        kw_only=False,
    )
    before: float = option(0.0, least=0, kw_only=False)

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, count: Any) -> Any:
        value: Any = self.value
        if callable(value):
            value = scheduled("schedule_free_radam", "learning_rate", value, count)
        r = rectifier(*rho(self.b2, jnp.asarray(count, float) + 1), self.threshold)
        return value * jnp.where(r > 0, r, self.before)
