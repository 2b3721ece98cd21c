"""The optimizers of Optax that adamx has too: a direction, and the other links.

A builder names the arguments of the links around the direction; the others go to the
direction as they are.
"""

from typing import Any

import optax

from ...parts.clipping import ClipByRms
from ...parts.directions import Sign
from ...parts.learning_rate import Negate
from ...parts.moments import Ema
from ...parts.trust_ratio import TrustRatio
from .. import parts
from ..builders import counterpart, rule_of
from . import directions

Links = tuple[Any, ...]


def followed(direction: Any, learning_rate: Any, given: dict[str, Any]) -> Links:
    """Return a direction and a learning rate."""
    return rule_of(direction(**given)), parts.rate(learning_rate)


def decayed(
    direction: Any, learning_rate: Any, decay: Any, mask: Any, given: dict[str, Any]
) -> Links:
    """Return a direction, a weight decay and a learning rate."""
    first, last = followed(direction, learning_rate, given)
    return first, parts.decay(decay, mask), last


@counterpart(optax.adam, chained=True)
def adam(learning_rate: Any, **given: Any) -> Links:
    """`optax.adam` by the parts of `adamx.adam` (`adamx.nadam` with Nesterov)."""
    return followed(directions.scale_by_adam, learning_rate, given)


@counterpart(optax.nadam, chained=True)
def nadam(learning_rate: Any, **given: Any) -> Links:
    """`optax.nadam` by the parts of `adamx.nadam`."""
    return followed(directions.scale_by_adam, learning_rate, given)


@counterpart(optax.adabelief, chained=True)
def adabelief(learning_rate: Any, **given: Any) -> Links:
    """`optax.adabelief` by the parts of `adamx.adabelief`."""
    return followed(directions.scale_by_belief, learning_rate, given)


@counterpart(optax.amsgrad, chained=True)
def amsgrad(learning_rate: Any, **given: Any) -> Links:
    """`optax.amsgrad` by the parts of `adamx.amsgrad`."""
    return followed(directions.scale_by_amsgrad, learning_rate, given)


@counterpart(optax.adamax, chained=True)
def adamax(learning_rate: Any, **given: Any) -> Links:
    """`optax.adamax` by the parts of `adamx.adamax`."""
    return followed(directions.scale_by_adamax, learning_rate, given)


@counterpart(optax.radam, chained=True)
def radam(learning_rate: Any, **given: Any) -> Links:
    """`optax.radam` by the parts of `adamx.radam`."""
    return followed(directions.scale_by_radam, learning_rate, given)


@counterpart(optax.novograd, chained=True)
def novograd(learning_rate: Any, **given: Any) -> Links:
    """`optax.novograd` by the parts of `adamx.novograd`."""
    return followed(directions.scale_by_novograd, learning_rate, given)


@counterpart(optax.yogi, chained=True)
def yogi(learning_rate: Any, **given: Any) -> Links:
    """`optax.yogi` by the parts of `adamx.yogi`."""
    return followed(directions.scale_by_yogi, learning_rate, given)


@counterpart(optax.adagrad, chained=True)
def adagrad(learning_rate: Any, **given: Any) -> Links:
    """`optax.adagrad` by the parts of `adamx.adagrad`."""
    return followed(directions.scale_by_rss, learning_rate, given)


@counterpart(optax.adamw, chained=True)
def adamw(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.adamw` by the parts of `adamx.adamw` (`adamx.nadamw` with Nesterov)."""
    direction = directions.scale_by_adam
    return decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax.nadamw, chained=True)
def nadamw(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.nadamw` by the parts of `adamx.nadamw`."""
    direction = directions.scale_by_adam
    return decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax.adamaxw, chained=True)
def adamaxw(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.adamaxw` by the parts of `adamx.adamaxw`."""
    direction = directions.scale_by_adamax
    return decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax.adan, chained=True)
def adan(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.adan` by the parts of `adamx.adan`; departs as `scale_by_adan` does."""
    direction = directions.scale_by_adan
    return decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax.lion, chained=True)
def lion(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.lion` by the parts of `adamx.lion`."""
    direction = directions.scale_by_lion
    return decayed(direction, learning_rate, weight_decay, mask, given)


@counterpart(optax.sgd, chained=True)
def sgd(
    learning_rate: Any, momentum: Any, nesterov: bool, accumulator_dtype: Any
) -> Links:
    """`optax.sgd` by the parts of `adamx.sgd`."""
    return parts.ball(momentum, nesterov), parts.rate(learning_rate)


@counterpart(optax.signum, chained=True)
def signum(learning_rate: Any, beta: Any, accumulator_dtype: Any) -> Links:
    """`optax.signum` by the parts of `adamx.signum`."""
    return Ema(beta, public="beta"), Sign(), parts.rate(learning_rate)


@counterpart(optax.rmsprop, chained=True)
def rmsprop(
    learning_rate: Any, centered: bool, momentum: Any, nesterov: bool, **given: Any
) -> Links:
    """`optax.rmsprop` by the parts of `adamx.rmsprop`, the momentum after the rate."""
    scale_by = directions.scale_by_stddev if centered else directions.scale_by_rms
    return (*followed(scale_by, learning_rate, given), parts.ball(momentum, nesterov))


@counterpart(optax.adadelta, chained=True)
def adadelta(
    learning_rate: Any, weight_decay: Any, weight_decay_mask: Any, **given: Any
) -> Links:
    """`optax.adadelta` by the parts of `adamx.adadelta`."""
    decay = parts.decay(weight_decay, weight_decay_mask)
    return (decay, *followed(directions.scale_by_adadelta, learning_rate, given))


@counterpart(optax.lamb, chained=True)
def lamb(learning_rate: Any, weight_decay: Any, mask: Any, **given: Any) -> Links:
    """`optax.lamb` by the parts of `adamx.lamb`."""
    direction = directions.scale_by_adam
    adam, decay, rate = decayed(direction, learning_rate, weight_decay, mask, given)
    return adam, decay, TrustRatio(), rate


@counterpart(optax.lars, chained=True)
def lars(
    learning_rate: Any,
    weight_decay: Any,
    weight_decay_mask: Any,
    trust_coefficient: Any,
    eps: Any,
    trust_ratio_mask: Any,
    momentum: Any,
    nesterov: bool,
) -> Links:
    """`optax.lars` by parts of adamx: the trust ratio is of gradient and decay."""
    return (
        parts.decay(weight_decay, weight_decay_mask),
        parts.on(trust_ratio_mask, TrustRatio(trust_coefficient, eps)),
        parts.rate(learning_rate),
        parts.ball(momentum, nesterov),
    )


@counterpart(optax.sm3, chained=True, unfit=directions.has_scalar)
def sm3(learning_rate: Any, momentum: Any) -> Links:
    """`optax.sm3` by the parts of `adamx.sm3`."""
    return followed(directions.scale_by_sm3, learning_rate, {"b1": momentum})


@counterpart(optax.rprop, chained=True)
def rprop(**given: Any) -> Links:
    """`optax.rprop` by the rule of `adamx.rprop`; departs as `scale_by_rprop` does."""
    return rule_of(directions.scale_by_rprop(**given)), Negate()


@counterpart(optax.adafactor, chained=True, unfit=directions.factors_other_axes)
def adafactor(
    learning_rate: Any,
    min_dim_size_to_factor: Any,
    decay_rate: Any,
    decay_offset: Any,
    multiply_by_parameter_scale: bool,
    clipping_threshold: Any,
    momentum: Any,
    dtype_momentum: Any,
    weight_decay_rate: Any,
    eps: Any,
    factored: bool,
    weight_decay_mask: Any,
) -> Links:
    """`optax.adafactor` by the parts of `adamx.adafactor`; None is no learning rate."""
    second = directions.scale_by_factored_rms(
        factored, decay_rate, decay_offset, min_dim_size_to_factor, eps
    )
    links: list[Any] = [rule_of(second)]
    if clipping_threshold is not None:
        links.append(ClipByRms(clipping_threshold))
    if learning_rate is not None:
        links.append(parts.UphillRate(learning_rate))
    if multiply_by_parameter_scale:
        links.append(rule_of(directions.scale_by_param_block_rms()))
    if momentum is not None:
        links.append(Ema(momentum, public="momentum"))
    if weight_decay_rate is not None:
        links.append(parts.decay(weight_decay_rate, weight_decay_mask))
    return (*links, Negate())
