"""AdamP: Adam that removes the radial part of steps on scale-invariant weights."""

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
    option,
)
from ..engine.keywords import checked_keywords
from ..engine.masks import as_mask
from ..engine.rule import Part, Rule, part
from ..engine.state import Context, Slots
from ..numerics.arithmetic import safe_divide, safe_sqrt
from ..numerics.splits import across, along, everywhere, shards
from ..parts.bias_correction import Debiased
from ..parts.denominators import Eps, Precondition
from ..parts.moments import Ema
from ..parts.nesterov import LookAhead
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place, decay_term, with_rate
from .adam import adam_denominator


def _projected(
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule | Eps,
    decay: ScalarOrSchedule,
    mask: Any,
    delta: ScalarOrSchedule,
    wd_ratio: ScalarOrSchedule,
    nesterov: bool,
    eps_norm: ScalarOrSchedule,
    channel_axis: int,
    axis_name: Any,
) -> Rule:
    moment = LookAhead(Ema(b1)) if nesterov else Ema(b1)
    root = adam_denominator(b2, eps)
    return AdampProjection(
        Precondition(Debiased(moment), by=root),
        decay,
        mask,
        delta,
        wd_ratio,
        eps_norm,
        channel_axis=channel_axis,
        axis_name=axis_name,
    )


@checked_keywords
def scale_by_adamp(
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    delta: ScalarOrSchedule = 0.1,
    wd_ratio: ScalarOrSchedule = 0.1,
    nesterov: bool = False,
    eps_norm: ScalarOrSchedule = 0.0,
    channel_axis: int = 0,
    axis_name: Any = None,
) -> Rule:
    """Scale gradients as AdamP does: `adamp` without decay, learning rate and sign.

    Args: as in `adamp`.

    State: `mu`, `nu`; 8 bytes per parameter.

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """
    return _projected(
        b1,
        b2,
        eps,
        0.0,
        None,
        delta,
        wd_ratio,
        nesterov,
        eps_norm,
        channel_axis,
        axis_name,
    )


@checked_keywords
def adamp(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule | Eps = 1e-8,
    *,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    delta: ScalarOrSchedule = 0.1,
    wd_ratio: ScalarOrSchedule = 0.1,
    nesterov: bool = False,
    eps_norm: ScalarOrSchedule = 0.0,
    channel_axis: int = 0,
    axis_name: Any = None,
) -> Chain:
    """AdamP: Adam that removes the radial part of steps on scale-invariant weights.

        p = m̂ / (sqrt(v̂) + ε)              (m̂ and v̂ as in `adam`)
        |cos(θ, g)| < δ / sqrt(dim θ):  θ ← θ - α (Π_θ(p) + λ r θ)
        otherwise:                      θ ← θ - α (p + λ θ)

    with Π_θ(p) = p - (θ̂·p) θ̂. If all channels pass the test, the projection is per
    channel, else test and projection are for the tensor; tensors of one axis are never
    projected.

    Args:
        learning_rate: α ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        weight_decay: λ ≥ 0 or a decay part, times r too if it comes before the rate.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        delta: δ in [0, 1], the threshold of the test.
        wd_ratio: r in [0, 1], the factor of the decay where the step is projected.
        nesterov: use Nesterov momentum, β₁ m + (1 - β₁) g.
        eps_norm: added to ‖θ‖ in θ̂; the authors' code has ε there.
        channel_axis: the axis of the channels: 0, as in the authors' code, or -1 for
            kernels stored as (in, out).
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split
            along `channel_axis`.

    State: `mu` (m), `nu` (v), from 0; 8 bytes per parameter, and the count.

    Departs from the paper: Adam's bias correction and the decay, which are those of the
    authors' code; the algorithm has neither, and one test for each tensor.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """
    decay, after = by_place(weight_decay, mask)
    direction = _projected(
        b1,
        b2,
        eps,
        decay,
        mask,
        delta,
        wd_ratio,
        nesterov,
        eps_norm,
        channel_axis,
        axis_name,
    )
    return chain(direction, *with_rate(learning_rate, *after))


class AdampProjection(Rule):
    """Remove the radial part of steps on scale-invariant weights (AdamP).

        |cos(θ, g)| < δ / sqrt(dim):  u = Π_θ(p) + λ r θ,  Π_θ(p) = p - (θ̂·p) θ̂
        otherwise:                  u = p + λ θ

    for the channels (all of which must pass), else for the tensor; tensors of fewer
    than two axes are never projected.

    Args:
        part: the rule that gives p.
        weight_decay: λ ≥ 0, or a decay part; mask: the leaves that decay.
        delta: δ in [0, 1], the threshold of the cosine, below which a weight counts as
            scale-invariant.
        wd_ratio: r, the factor of the weight decay where the step is projected.
        eps_norm: added to ‖θ‖ in θ̂.
        channel_axis: the axis whose entries are the channels: 0, as in torch, or -1 for
            kernels stored as (in, out).
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split
            along `channel_axis` (leaves without it: along any axis).

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """

    scope = "tensor"

    part: Part = part()
    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    mask: Any = None
    delta: Hyper = hyper(0.1, allowed=UNIT)
    wd_ratio: Hyper = hyper(0.1, allowed=UNIT)
    eps_norm: Hyper = hyper(0.0, allowed=NON_NEGATIVE)
    channel_axis: int = option(
        0, least=-1, most=0, advice="The channels are the first axis, or the last: -1."
    )
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("AdampProjection", self.mask))

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        p, slots = self.part.apply(update, slots, ctx)
        theta: Any = ctx.param
        if theta.ndim < 2:
            return p + decay_term(self.weight_decay, self.mask, p, ctx), slots
        axes = tuple(
            i for i in range(theta.ndim) if i != self.channel_axis % theta.ndim
        )
        by_channel, one = self._view(theta, update, p, axes)
        by_tensor, other = self._view(theta, update, p, tuple(range(theta.ndim)))
        q = jnp.where(one, by_channel, jnp.where(other, by_tensor, p))
        share = jnp.where(one | other, self.wd_ratio, 1)
        return q + share * decay_term(self.weight_decay, self.mask, q, ctx), slots

    def _view(
        self, theta: Any, g: Any, p: Any, axes: tuple[int, ...]
    ) -> tuple[Any, Any]:
        """Project over `axes`; return the result and whether the test passes."""
        split = along(self.axis_name, axes, theta.ndim)

        def dot(a: Any, b: Any) -> Any:
            return across(jnp.sum(a * b, axes, keepdims=True), split)

        length, steepness = (safe_sqrt(dot(x, x)) for x in (theta, g))
        cosine = safe_divide(jnp.abs(dot(theta, g)), length * steepness)
        unit = safe_divide(theta, length + self.eps_norm)
        dimension = theta.size // length.size * shards(split)
        passes = jnp.max(cosine) < self.delta / dimension**0.5
        passes = everywhere(passes, self.axis_name)
        return p - dot(unit, p) * unit, passes
