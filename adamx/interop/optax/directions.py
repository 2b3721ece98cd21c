"""The `scale_by_` functions of Optax that adamx has too, made of its parts."""

from typing import Any

import jax
import numpy as np
import optax

from ...engine.chain import chain
from ...engine.rule import Rule
from ...optimizers.adabelief import scale_by_adabelief
from ...optimizers.adadelta import AdadeltaDirection
from ...optimizers.adafactor import ScaleByParameterRms
from ...optimizers.adamax import scale_by_adamax as adamax_direction
from ...optimizers.adan import scale_by_adan as adan_direction
from ...optimizers.amsgrad import scale_by_amsgrad as amsgrad_direction
from ...optimizers.lion import scale_by_lion as lion_direction
from ...optimizers.novograd import NormEma
from ...optimizers.rprop import RpropDirection
from ...optimizers.sm3 import Sm3Accumulator
from ...optimizers.yogi import scale_by_yogi as yogi_direction
from ...parts.bias_correction import Rectified
from ...parts.denominators import EpsInsideRoot, Precondition, RootPlusEps
from ...parts.directions import Sign
from ...parts.moments import Ema, Identity, Momentum, Sum
from ...parts.trust_ratio import TrustRatio
from .. import parts
from ..builders import Unbuilt, counterpart


@counterpart(optax.scale_by_adam)
def scale_by_adam(
    b1: Any, b2: Any, eps: Any, eps_root: Any, mu_dtype: Any, nesterov: bool
) -> Rule:
    """`optax.scale_by_adam` by the parts of `adamx.scale_by_adam`."""
    return parts.adam(b1, b2, eps, eps_root, nesterov)


@counterpart(optax.scale_by_amsgrad)
def scale_by_amsgrad(
    b1: Any,
    b2: Any,
    eps: Any,
    eps_root: Any,
    mu_dtype: Any,
    bias_correction_mu: bool,
    bias_correction_nu: bool,
) -> Rule:
    """`optax.scale_by_amsgrad` by `adamx.scale_by_amsgrad`."""
    return amsgrad_direction(
        b1,
        b2,
        EpsInsideRoot(eps_root, eps),
        bias_correction_mu=bias_correction_mu,
        bias_correction_nu=bias_correction_nu,
    )


@counterpart(optax.scale_by_adamax)
def scale_by_adamax(b1: Any, b2: Any, eps: Any) -> Rule:
    """`optax.scale_by_adamax` by `adamx.scale_by_adamax`."""
    return adamax_direction(b1, b2, eps)


@counterpart(optax.scale_by_belief)
def scale_by_belief(b1: Any, b2: Any, eps: Any, eps_root: Any, nesterov: bool) -> Rule:
    """`optax.scale_by_belief` by `adamx.scale_by_adabelief`."""
    return scale_by_adabelief(b1, b2, eps, eps_root, nesterov=nesterov)


@counterpart(optax.scale_by_adan)
def scale_by_adan(b1: Any, b2: Any, b3: Any, eps: Any, eps_root: Any) -> Rule:
    """`optax.scale_by_adan` by `adamx.scale_by_adan`.

    Departs from Optax: the difference of two gradients is multiplied by b2, as in
    Algorithm 1 of the paper for its β₂ = 1 - b2; Optax multiplies it by 1 - b2.
    """
    return adan_direction(b1, b2, b3, EpsInsideRoot(eps_root, eps))


@counterpart(optax.scale_by_lion)
def scale_by_lion(b1: Any, b2: Any, mu_dtype: Any, mode: str, smooth_beta: Any) -> Any:
    """`optax.scale_by_lion` by `adamx.scale_by_lion`."""
    if mode != "hard":
        raise Unbuilt(f"scale_by_lion: adamx has mode='hard' only, got {mode!r}.")
    return lion_direction(b1, b2)


@counterpart(optax.scale_by_radam)
def scale_by_radam(
    b1: Any, b2: Any, eps: Any, eps_root: Any, threshold: Any, nesterov: bool
) -> Rule:
    """`optax.scale_by_radam` by the parts of `adamx.scale_by_radam`."""
    root = parts.adam_root(b2, eps, eps_root)
    return Precondition(parts.average(b1, nesterov), by=Rectified(root, threshold))


@counterpart(optax.scale_by_yogi)
def scale_by_yogi(
    b1: Any, b2: Any, eps: Any, eps_root: Any, initial_accumulator_value: Any
) -> Rule:
    """`optax.scale_by_yogi` by `adamx.scale_by_yogi`; the state starts as Optax's."""
    return yogi_direction(b1, b2, EpsInsideRoot(eps_root, eps))


@counterpart(optax.scale_by_rms)
def scale_by_rms(
    decay: Any,
    eps: Any,
    initial_scale: Any,
    eps_in_sqrt: bool,
    bias_correction: bool,
) -> Rule:
    """`optax.scale_by_rms` by the parts of `adamx.scale_by_rmsprop`."""
    return parts.root_mean_square(decay, eps, eps_in_sqrt, bias_correction, False)


@counterpart(optax.scale_by_stddev)
def scale_by_stddev(
    decay: Any,
    eps: Any,
    initial_scale: Any,
    eps_in_sqrt: bool,
    bias_correction: bool,
) -> Rule:
    """`optax.scale_by_stddev` by the parts of `adamx.scale_by_rmsprop`.

    Departs from Optax: a variance that rounding makes negative is 0.
    """
    return parts.root_mean_square(decay, eps, eps_in_sqrt, bias_correction, True)


@counterpart(optax.scale_by_rss)
def scale_by_rss(initial_accumulator_value: Any, eps: Any) -> Rule:
    """`optax.scale_by_rss` by the parts of `adamx.scale_by_adagrad`."""
    return Precondition(Identity(), by=RootPlusEps(Sum(), EpsInsideRoot(eps)))


@counterpart(optax.scale_by_adadelta)
def scale_by_adadelta(rho: Any, eps: Any) -> Rule:
    """`optax.scale_by_adadelta` by `adamx.scale_by_adadelta`."""
    return AdadeltaDirection(rho, eps)


@counterpart(optax.scale_by_novograd)
def scale_by_novograd(
    b1: Any, b2: Any, eps: Any, eps_root: Any, weight_decay: Any, mu_dtype: Any
) -> Any:
    """`optax.scale_by_novograd` by the parts of `adamx.novograd`."""
    root = RootPlusEps(NormEma(b2), EpsInsideRoot(eps_root, eps))
    ball = Momentum(b1, name="mu", public="b1")
    normed = Precondition(Identity(), by=root)
    return chain(normed, parts.decay(weight_decay), ball)


def has_scalar(updates: Any) -> str:
    scalar = any(g.ndim == 0 for g in jax.tree.leaves(updates))
    return "scale_by_sm3: Optax keeps no maxima of a scalar." if scalar else ""


@counterpart(optax.scale_by_sm3, unfit=has_scalar)
def scale_by_sm3(b1: Any, b2: Any, eps: Any) -> Any:
    """`optax.scale_by_sm3` by the parts of `adamx.scale_by_sm3`."""
    if not (isinstance(b2, float | int) and b2 == 1):
        raise Unbuilt(f"scale_by_sm3: adamx adds up the squares, got b2={b2!r}.")
    by = RootPlusEps(Sm3Accumulator(), EpsInsideRoot(eps))
    return chain(Precondition(Identity(), by=by), Ema(b1, public="momentum"))


@counterpart(optax.scale_by_rprop)
def scale_by_rprop(
    learning_rate: Any,
    eta_minus: Any,
    eta_plus: Any,
    min_step_size: Any,
    max_step_size: Any,
) -> Rule:
    """`optax.scale_by_rprop` by the rule of `adamx.rprop`.

    Departs from Optax: the step that is returned is that of this gradient; Optax
    returns the one of the gradient before, from its state.
    """
    return RpropDirection(
        eta_minus, eta_plus, min_step_size, max_step_size, rate=Identity()
    )


@counterpart(optax.scale_by_sign)
def scale_by_sign() -> Rule:
    """`optax.scale_by_sign` by `adamx.parts.Sign`."""
    return Sign()


@counterpart(optax.scale_by_trust_ratio)
def scale_by_trust_ratio(min_norm: Any, trust_coefficient: Any, eps: Any) -> Rule:
    """`optax.scale_by_trust_ratio` by `adamx.parts.TrustRatio`."""
    if not (isinstance(min_norm, float | int) and min_norm == 0):
        raise Unbuilt(f"scale_by_trust_ratio: adamx has no min_norm, got {min_norm!r}.")
    return TrustRatio(trust_coefficient, eps)


@counterpart(optax.scale_by_param_block_rms)
def scale_by_param_block_rms(min_scale: Any) -> Rule:
    """`optax.scale_by_param_block_rms` by the rule of `adamx.adafactor`."""
    return ScaleByParameterRms(min_scale)


def factors_other_axes(updates: Any) -> str:
    """Return why adamx cannot factor: it does so over the last two axes."""
    for g in jax.tree.leaves(updates):
        largest = set(np.argsort(g.shape)[-2:])
        if g.ndim > 2 and largest != {g.ndim - 2, g.ndim - 1}:
            return (
                f"scale_by_factored_rms: adamx factors over the last two axes, Optax "
                f"over the two largest, got the shape {g.shape}."
            )
    return ""


@counterpart(optax.scale_by_factored_rms, unfit=factors_other_axes)
def scale_by_factored_rms(
    factored: bool,
    decay_rate: Any,
    step_offset: Any,
    min_dim_size_to_factor: Any,
    epsilon: Any,
) -> Rule:
    """`optax.scale_by_factored_rms` by the parts of `adamx.scale_by_adafactor`."""
    return parts.factored(
        factored, decay_rate, step_offset, min_dim_size_to_factor, epsilon
    )
