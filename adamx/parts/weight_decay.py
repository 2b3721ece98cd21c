"""Weight decay: the pull of the parameters towards zero.

`WeightDecay` adds λθ to the update; what it means follows from where it stands. First
in a chain it is L2 regularisation (the moments see it); just before `LearningRate` it
is the decoupled decay of AdamW, scaled by the rate. `IndependentWeightDecay` stands
after the rate and is not scaled by it.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, is_zero
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots

_DECAY = NON_NEGATIVE.but("It pulls the parameters towards zero; 0.01 is usual.")


class _Decay(Rule):
    """What both decays share: a strength and a mask."""

    weight_decay: Hyper = hyper(allowed=_DECAY)
    mask: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        mask = as_mask(type(self).__name__, self.mask)
        object.__setattr__(self, "mask", mask)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}


class WeightDecay(_Decay):
    """`u ← u + λ θ`.

    First in a chain: L2 regularisation, as `weight_decay` of torch.optim.Adam. Just
    before `LearningRate`: decoupled decay, η λ θ a step (torch.optim.AdamW, Optax).

    Args:
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable
            on the parameters, a predicate of path and leaf, or a path regex; None for
            all. Usual: `mask=lambda path, leaf: leaf.ndim > 1`, which spares biases
            and norms.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, arXiv:1711.05101.
    """

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        return update + self.weight_decay * ctx.param, slots


class CautiousWeightDecay(_Decay):
    """`u ← u + λ 1(u θ ≥ 0) θ`: decay only where the step shrinks the parameter too.

    Just before `LearningRate`, in the place of `WeightDecay`. Where u is 0 the decay
    acts.

    Args:
        weight_decay: λ ≥ 0.
        mask: as in `WeightDecay`.

    Reference: Chen et al., "Cautious weight decay", 2025, Algorithm 1,
    arXiv:2510.12402.
    """

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        agreed = jnp.where(update * ctx.param >= 0, ctx.param, 0)
        return update + self.weight_decay * agreed, slots


class IndependentWeightDecay(_Decay):
    """`u ← u - λ θ`, after `LearningRate`: a decay that the rate does not scale.

    The AdamW paper's own form, in which only the schedule multiplier η_t scales both:
    pass `weight_decay` as the schedule `λ η_t`.

    Args:
        weight_decay: λ ≥ 0, the share of the parameter that a step removes.
        mask: as in `WeightDecay`.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, line 12, arXiv:1711.05101.
    """

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        return update - self.weight_decay * ctx.param, slots


class ProximalWeightDecay(_Decay):
    """`u ← (u - η λ θ) / (1 + η λ)`, after `LearningRate`: the decay as a division.

    `θ + u` is then `(θ + step) / (1 + η λ)`, which never turns the sign of θ, however
    strong the decay (Adan).

    Args:
        weight_decay: λ ≥ 0.
        mask: as in `WeightDecay`.
        learning_rate: η, the rate of the `LearningRate` before it.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """

    learning_rate: Hyper = hyper(allowed=NON_NEGATIVE, kw_only=True)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        pull = self.learning_rate * self.weight_decay
        return (update - pull * ctx.param) / (1 + pull), slots


def decoupled(weight_decay: ScalarOrSchedule, mask: Any = None) -> tuple[Rule, ...]:
    """The decay of a member that need not have one: no part for the number 0."""
    if is_zero(weight_decay):
        return ()
    return (WeightDecay(weight_decay, mask),)
