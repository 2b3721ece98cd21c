"""Adafactor: Adam with a second moment factored into rows and columns.

Inside `shard_map` pass `axis_name`, the mesh axes over which the leaves are split along
their first axis. Stacked layers: `adamx.stacked`.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import (
    NON_NEGATIVE,
    Hyper,
    ScalarOrSchedule,
    hyper,
    is_zero,
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.norms import rms
from ..parts.clipping import ClipByRms
from ..parts.denominators import Precondition, RootPlusEps
from ..parts.factored import FactoredSecondMoment, PowerDecaySchedule
from ..parts.learning_rate import LearningRate, Negate
from ..parts.moments import Ema, Identity
from ..parts.weight_decay import IndependentWeightDecay


@checked_keywords
def scale_by_adafactor(
    min_dim_size_to_factor: int = 128,
    decay_rate: ScalarOrSchedule = 0.8,
    *,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: ScalarOrSchedule | None = 1.0,
    momentum: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule = 1e-30,
    eps_scale: ScalarOrSchedule = 1e-3,
    axes: Any = None,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as Adafactor does: `adafactor` without learning rate and sign.

    Args: as in `adafactor`, but the momentum averages the direction, before the rate.

    State: `nu_row`, `nu_col`, `nu`; about 4 (1/m + 1/n) bytes per parameter.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithms 4 to 6, arXiv:1804.04235.
    """
    second = FactoredSecondMoment(
        PowerDecaySchedule(decay_rate),
        eps=eps,
        min_dim_size_to_factor=min_dim_size_to_factor,
        axes=axes,
        axis_name=axis_name,
    )
    parts: list[Rule] = [
        Precondition(Identity(), by=RootPlusEps(second, 0.0, public="eps_root"))
    ]
    if clipping_threshold is not None:
        parts.append(ClipByRms(clipping_threshold, axis_name=axis_name))
    if multiply_by_parameter_scale:
        parts.append(ScaleByParameterRms(eps_scale, axis_name=axis_name))
    return chain(*parts, *_average(momentum))


def _average(momentum: ScalarOrSchedule | None) -> tuple[Rule, ...]:
    if momentum is None or is_zero(momentum):
        return ()
    return (Ema(momentum, public="momentum"),)


@checked_keywords
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: ScalarOrSchedule = 0.8,
    *,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: ScalarOrSchedule | None = 1.0,
    momentum: ScalarOrSchedule | None = None,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: ScalarOrSchedule = 1e-30,
    eps_scale: ScalarOrSchedule = 1e-3,
    mask: Any = None,
    axes: Any = None,
    axis_name: Any = None,
) -> Chain:
    """Adafactor: factor Adam's second moment into rows and columns; no first moment.

        β_t = 1 - t^-c
        r ← β_t r + (1 - β_t) mean over columns of (g² + ε₁)      (c likewise)
        u = g / sqrt(r cᵀ / mean(r)),    u ← u / max(1, RMS(u) / d)
        θ ← θ - ρ_t max(ε₂, RMS(θ)) u

    Args:
        learning_rate: ρ_t; None for 1, as in Optax. The paper's relative step is the
            schedule `adamx.optimizers.relative_step`.
        min_dim_size_to_factor: matrices with a shorter axis keep v whole. The default
            is Optax's; the paper factors all: 0.
        decay_rate: c > 0.
        multiply_by_parameter_scale: whether a step is in units of the parameter.
        clipping_threshold: d > 0, or None for no clipping.
        momentum: in [0, 1), the decay of an average of the steps, after the rate; None
            for none.
        weight_decay_rate: λ ≥ 0, θ ← θ - λ θ in each step, not scaled by the rate.
        eps: ε₁ ≥ 0, in units of g².
        eps_scale: ε₂ ≥ 0, the least scale of a parameter.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        axes: the rows and the columns of leaves of more than two axes, such as
            `MatrixAxes(0, 1)`, the spatial axes of a kernel (height, width, in, out),
            which torch factors; None for the last two.
        axis_name: inside `shard_map`, the mesh axes over which the first axis is split.

    State: `nu_row` (r), `nu_col` (c), from 0, 4 / n + 4 / m bytes per parameter of an
    (m, n) matrix; `nu`, 4 bytes per parameter, for vectors; with momentum also `mu`.

    Departs from the paper: the default rate and the least length, which are Optax's.
    From `optax.adafactor`: of a tensor of more than two axes the last two are factored,
    or those of `axes` (there, the two largest).

    Raises:
        ValueError: an argument out of its range, or parameters missing in `update`.
        TypeError: an argument that is no number, array or schedule.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithms 4 to 6, arXiv:1804.04235.
    """
    direction = scale_by_adafactor(
        min_dim_size_to_factor,
        decay_rate,
        multiply_by_parameter_scale=multiply_by_parameter_scale,
        clipping_threshold=clipping_threshold,
        eps=eps,
        eps_scale=eps_scale,
        axes=axes,
        axis_name=axis_name,
    )
    rate = Negate() if learning_rate is None else LearningRate(learning_rate)
    decay: tuple[Rule, ...] = ()
    if weight_decay_rate is not None:
        decay = (IndependentWeightDecay(weight_decay_rate, mask),)
    return chain(direction, rate, *_average(momentum), *decay)


class ScaleByParameterRms(Rule):
    """Multiply the update by max(ε, RMS(θ)), so steps are relative (Adafactor).

    Args:
        eps_scale: ε ≥ 0, the least scale, so that parameters at 0 can change.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Shazeer & Stern, "Adafactor: adaptive learning rates with sublinear
    memory cost", ICML 2018, Algorithm 4, arXiv:1804.04235.
    """

    scope = "tensor"
    takes = "either"

    eps_scale: Hyper = hyper(1e-3, allowed=NON_NEGATIVE)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        size = rms(ctx.param, self.axis_name)  # pyright: ignore[reportArgumentType]
        return jnp.maximum(size, self.eps_scale) * update, slots


def relative_step(count: Any) -> Array:
    """Return Adafactor's rate, `min(0.01, 1 / sqrt(t))`, t counted from 1."""
    return jnp.minimum(1e-2, 1 / jnp.sqrt(jnp.asarray(count) + 1.0))
