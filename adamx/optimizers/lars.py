"""LARS: SGD with momentum and a trust ratio for each tensor."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.chain import Chain, chain
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, option
from ..engine.keywords import checked_keywords
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from ..numerics.norms import norm
from ..parts.learning_rate import LearningRate
from ..parts.moments import Momentum
from ..parts.weight_decay import Decay, DecayBeforeRate, by_place, decay_term


class LarsTrustRatio(Rule):
    """Multiply g + λ θ by LARS's local rate, which is 1 where a norm is 0.

        u = η ‖θ‖ / (‖g‖ + λ ‖θ‖ + ε) (g + λ θ)

    Args:
        weight_decay: λ ≥ 0, or a decay part.
        mask: the leaves that decay.
        trust_coefficient: η ≥ 0.
        eps: ε ≥ 0, in units of the gradient.
        trust_ratio_mask: the leaves with a local rate; the others give g + λ θ.
        norm_of_sum: divide by ‖g + λ θ‖ + ε, as Optax does.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """

    scope = "tensor"

    weight_decay: Any = hyper(0.0, allowed=NON_NEGATIVE, or_part=DecayBeforeRate)
    mask: Any = None
    trust_coefficient: Hyper = hyper(1e-3, allowed=NON_NEGATIVE)
    eps: Hyper = hyper(0.0, allowed=NON_NEGATIVE)
    trust_ratio_mask: Any = None
    norm_of_sum: bool = option(False)
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mask", "trust_ratio_mask"):
            mask = as_mask("LarsTrustRatio", getattr(self, name))
            object.__setattr__(self, name, mask)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        theta: Any = ctx.param
        decay = decay_term(self.weight_decay, self.mask, update, ctx)
        u = update + decay
        if not ctx.selects(self.trust_ratio_mask):
            return u, slots
        above = norm(theta, self.axis_name)
        if self.norm_of_sum:
            below = norm(u, self.axis_name)
        else:
            pull = norm(decay + jnp.zeros_like(theta), self.axis_name)
            below = norm(update, self.axis_name) + pull
        trusted = (above != 0) & (below != 0)
        below = jnp.where(trusted, below, 1) + self.eps
        rate = jnp.where(trusted, self.trust_coefficient * above / below, 1)
        return rate * u, slots


@checked_keywords
def scale_by_lars(
    trust_coefficient: ScalarOrSchedule = 0.001,
    eps: ScalarOrSchedule = 0.0,
    trust_ratio_mask: Any = None,
    momentum: ScalarOrSchedule = 0.9,
    *,
    nesterov: bool = False,
    norm_of_sum: bool = True,
    axis_name: Any = None,
) -> Chain:
    """Scale gradients as LARS does: `lars` without decay, learning rate and sign.

    Args: as in `lars`.

    State: `momentum`; 4 bytes per parameter.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """
    local = LarsTrustRatio(
        0.0,
        None,
        trust_coefficient,
        eps,
        trust_ratio_mask,
        norm_of_sum=norm_of_sum,
        axis_name=axis_name,
    )
    return chain(local, Momentum(momentum, nesterov))


@checked_keywords
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule | Decay = 0.0,
    mask: Any = None,
    trust_coefficient: ScalarOrSchedule = 0.001,
    eps: ScalarOrSchedule = 0.0,
    trust_ratio_mask: Any = None,
    momentum: ScalarOrSchedule = 0.9,
    *,
    nesterov: bool = False,
    norm_of_sum: bool = True,
    axis_name: Any = None,
) -> Chain:
    """LARS: SGD with momentum that multiplies the rate of each tensor by a trust ratio.

        r = η ‖θ‖ / (‖g + λ θ‖ + ε)     (1 where a norm is 0)
        m ← μ m + α r (g + λ θ)
        θ ← θ - m

    Args:
        learning_rate: α ≥ 0, the global rate, applied before the momentum.
        weight_decay: λ ≥ 0 or a decay part, which enters r and m if it comes before the
            rate.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable on
            the parameters, a predicate of path and leaf, or a path regex.
        trust_coefficient: η ≥ 0, the norm of a step at rate 1, relative to ‖θ‖.
        eps: ε ≥ 0 in units of the gradient; the paper has none.
        trust_ratio_mask: the leaves with a ratio, as `mask`; the others have r = 1.
        momentum: μ in [0, 1).
        nesterov: use Nesterov momentum, as in `sgd`.
        norm_of_sum: divide by ‖g + λ θ‖, as Optax; False divides by ‖g‖ + λ ‖θ‖, as
            the paper.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `momentum` (m), from 0; 4 bytes per parameter, and the count.

    Departs from the paper: where λ > 0, the norm of the sum, as `optax.lars`;
    `norm_of_sum=False` is the paper's. LARS as the LAMB paper restates it, an average
    first and the ratio of its norm: `chain(WeightDecay(λ), Ema(0.9), TrustRatio(),
    LearningRate(α))`.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """
    decay, after = by_place(weight_decay, mask)
    local = LarsTrustRatio(
        decay,
        mask,
        trust_coefficient,
        eps,
        trust_ratio_mask,
        norm_of_sum=norm_of_sum,
        axis_name=axis_name,
    )
    rate = LearningRate(learning_rate)
    return chain(local, rate, Momentum(momentum, nesterov), *after)
