"""AdaHessian: Adam that divides by an average of the Hessian's diagonal.

The estimate is an extra argument: `tx.update(grads, state, params, hessian=...)`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    UNIT,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_constant,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_sqrt
from ..numerics.splits import own, whole
from ..parts.bias_correction import Debiased
from ..parts.denominators import Precondition
from ..parts.moments import Ema, square
from ..parts.weight_decay import Decay, decoupled, with_rate


def spatial_average(d: Array) -> Array:
    """Average over the inputs of each output: all axes but the last of a matrix, the
    two spatial axes of a convolution kernel (height, width, in, out)."""
    axes = {2: (0,), 3: (0,), 4: (0, 1)}.get(d.ndim, ())
    return jnp.broadcast_to(jnp.mean(d, axis=axes, keepdims=True), d.shape)


class HessianRoot(Rule):
    """Compute AdaHessian's denominator `sqrt(v)^k + ε` from estimates of the Hessian.

    v averages the squares of the spatially averaged estimates.

    Args:
        moment: the average of squares, such as `Debiased(Ema(0.999, square, "nu"))`.
        hessian_power: k in [0, 1].
        eps: ε ≥ 0, added after the power.
        average: the spatial averaging of one estimate, a function of an array.
        magnitude: average the absolute values (the authors' code), not the estimates.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split:
            the estimate is gathered for `average`.
    """

    moment: Part = part()
    hessian_power: Hyper = hyper(1.0, allowed=UNIT)
    eps: Hyper = hyper(1e-4, allowed=NON_NEGATIVE)
    average: Callable[[Any], Any] | None = spatial_average
    magnitude: bool = True
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"hessian"}

    @property
    def scope(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return "element" if self.average is None else "tensor"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        d = jnp.asarray(ctx.extra["hessian"], update.dtype)
        d = jnp.abs(d) if self.magnitude else d
        d = d if self.average is None else self._averaged(d)
        v, slots = self.moment.apply(d, slots, ctx)
        root = safe_sqrt(v)
        if not (is_constant(self.hessian_power) and self.hessian_power == 1.0):
            none = root == 0  # the root has no derivative at 0
            power = jnp.where(none, 1, root) ** self.hessian_power
            root = jnp.where(none & (self.hessian_power != 0), 0, power)
        return root + self.eps, slots

    def _averaged(self, d: Array) -> Array:
        return own(self.average(whole(d, self.axis_name)), self.axis_name)  # pyright: ignore[reportOptionalCall]


@checked_keywords
def scale_by_adahessian(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-4,
    *,
    hessian_power: ScalarOrSchedule = 1.0,
    average: Callable[[Any], Any] | None = spatial_average,
    magnitude: bool = True,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as AdaHessian does: `adahessian` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean square of the estimates.
        eps: ε ≥ 0, added after the power.
        hessian_power: k in [0, 1].
        average: see `adahessian`.
        magnitude: see `adahessian`.
        axis_name: see `adahessian`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Yao et al., "ADAHESSIAN: an adaptive second order optimizer for machine
    learning", AAAI 2021, Algorithm 1, arXiv:2006.00719.
    """
    moment = Debiased(Ema(b2, square, "nu"))
    root = HessianRoot(
        moment, hessian_power, eps, average, magnitude, axis_name=axis_name
    )
    return Precondition(Debiased(Ema(b1)), by=root)


@checked_keywords
def adahessian(
    learning_rate: ScalarOrSchedule = 0.15,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-4,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    hessian_power: ScalarOrSchedule = 1.0,
    average: Callable[[Any], Any] | None = spatial_average,
    magnitude: bool = True,
    axis_name: Any = None,
) -> Chain:
    """AdaHessian: Adam with squares of the Hessian's diagonal in the second moment.

        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) mean(|D|)²          v̂ = v / (1 - β₂ᵗ)
        θ ← θ - η (m̂ / (sqrt(v̂)^k + ε) + λ θ)

    Pass `hessian=D` to every `update`, such as `hutchinson_estimate(loss, params,
    key)`.

    Args:
        learning_rate: η ≥ 0.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean square of the estimates.
        eps: ε ≥ 0, added after the power.
        weight_decay: λ ≥ 0 or a decay part; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.
        hessian_power: k in [0, 1].
        average: the spatial averaging of one estimate, a function of an array; None for
            none. The default averages over the inputs of each output in JAX's layout.
        magnitude: average |D|, as both of the authors' codes do; False for D itself,
            as the paper has it, whose signs cancel in the mean.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (m, from 0), `nu` (v, from 0); 8 bytes per parameter, and the count.

    Departs from the paper: ε, the decay and the magnitudes in the spatial average, all
    as in the authors' code. Without the magnitudes v is smaller, and so a step larger
    than the one for which the default rate is meant.

    Raises:
        ValueError: an argument out of its range; `hessian` missing.
        TypeError: an argument that is no number, array or schedule.

    Reference: Yao et al., "ADAHESSIAN: an adaptive second order optimizer for machine
    learning", AAAI 2021, Algorithm 1, arXiv:2006.00719.
    """
    direction = scale_by_adahessian(
        b1,
        b2,
        eps,
        hessian_power=hessian_power,
        average=average,
        magnitude=magnitude,
        axis_name=axis_name,
    )
    decay = decoupled(weight_decay, mask)
    return chain(direction, *with_rate(learning_rate, *decay))
