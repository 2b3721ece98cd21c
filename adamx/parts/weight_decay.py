"""Weight decay: coupled (L2), decoupled (AdamW), cautious, independent, proximal, late.

`WeightDecay` adds λθ to the update. Its place in the chain decides its form: first, it
is L2 regularisation (λθ enters the moments); just before `LearningRate`, it is the
decoupled decay of AdamW, scaled by the rate. `IndependentWeightDecay` comes after the
rate and is not scaled by it.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import NON_NEGATIVE, Hyper, ScalarOrSchedule, hyper, is_zero
from ..engine.masks import as_mask
from ..engine.rule import Rule
from ..engine.state import Context, Slots
from .learning_rate import LearningRate

_AFTER_RATE = (
    "It would let the parameters grow. Put it before the rate, or use "
    "IndependentWeightDecay(...) after it."
)
_DECAY = NON_NEGATIVE.but("It pulls the parameters towards zero; 0.01 is usual.")


class Decay(Rule):
    """A weight λ and a mask: the base of all weight decays.

    An optimizer's `weight_decay=` takes any of them in place of a number.
    """

    weight_decay: Hyper = hyper(allowed=_DECAY, data=True)
    mask: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        mask = as_mask(type(self).__name__, self.mask)
        object.__setattr__(self, "mask", mask)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}


class DecayBeforeRate(Decay):
    """A decay that adds a term to the direction, before the rate: a base class."""

    takes = "direction"
    _after_rate = _AFTER_RATE

    def term(self, update: Float[Array, "..."], ctx: Context) -> Float[Array, "..."]:
        """Return what is added to the update of a leaf that decays."""
        raise NotImplementedError

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        return update + self.term(update, ctx), slots


class WeightDecay(DecayBeforeRate):
    """Add weight decay to the update: `u ← u + λ θ`.

    First in a chain: L2 regularisation, as `weight_decay` of torch.optim.Adam. Just
    before `LearningRate`: decoupled decay, η λ θ a step (torch.optim.AdamW, Optax).

    Args:
        weight_decay: λ ≥ 0.
        mask: the leaves that decay: a tree of bools (or a prefix of one), a callable
            on the parameters, a predicate of path and leaf, or a path regex; None for
            all. Usual: `mask=lambda path, leaf: leaf.ndim > 1`, which excludes
            biases and norms.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, arXiv:1711.05101.
    """

    def term(self, update: Float[Array, "..."], ctx: Context) -> Float[Array, "..."]:
        return self.weight_decay * ctx.param


class CautiousWeightDecay(DecayBeforeRate):
    """Decay only parameters that the step shrinks too: `u ← u + λ 1(u θ ≥ 0) θ`.

    Put it just before `LearningRate`, in place of `WeightDecay`. Where u is 0, the
    parameter decays.

    Args:
        weight_decay: λ ≥ 0.
        mask: as in `WeightDecay`.

    Reference: Chen et al., "Cautious weight decay", 2025, Algorithm 1,
    arXiv:2510.12402.
    """

    def term(self, update: Float[Array, "..."], ctx: Context) -> Float[Array, "..."]:
        agreed = jnp.where(update * ctx.param >= 0, ctx.param, 0)
        return self.weight_decay * agreed


class IndependentWeightDecay(Decay):
    """Decay independently of the rate: `u ← u - λ θ`, after `LearningRate`.

    The AdamW paper's own form, in which only the schedule multiplier η_t scales both:
    pass `weight_decay` as the schedule `λ η_t`.

    Args:
        weight_decay: λ ≥ 0, the share of the parameter that a step removes.
        mask: as in `WeightDecay`.

    Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019,
    Algorithm 2, line 12, arXiv:1711.05101.
    """

    takes = "step"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        return update - self.weight_decay * ctx.param, slots


class ProximalWeightDecay(Decay):
    """Decay by division (a proximal step), after `LearningRate` (Adan).

        u ← (u - η λ θ) / (1 + η λ)

    `θ + u` is then `(θ + step) / (1 + η λ)`: the decay never changes the sign of θ, how
    large λ may be.

    Args:
        weight_decay: λ ≥ 0.
        mask: as in `WeightDecay`.
        learning_rate: η, the rate of the `LearningRate` before it.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """

    takes = "step"

    learning_rate: Hyper = hyper(allowed=NON_NEGATIVE, kw_only=True, data=True)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        pull = self.learning_rate * self.weight_decay
        return (update - pull * ctx.param) / (1 + pull), slots


class WeightDecayAfterStep(Decay):
    """Decay the parameters after the step, after `LearningRate`.

        u ← u - η λ (θ + u)

    `θ + u` is then `(1 - η λ)(θ + step)`, the form of several authors' codes (GaLore,
    APOLLO, Fira, SPAM, SOAP; with η = 1 LaProp). From `WeightDecay` it differs by
    η λ times the step.

    Args:
        weight_decay: λ ≥ 0.
        mask: as in `WeightDecay`.
        learning_rate: η, the rate of the `LearningRate` before it; None for η = 1, a
            decay that the rate does not scale.

    Reference: Zhao et al., "GaLore: memory-efficient LLM training by gradient low-rank
    projection", ICML 2024, arXiv:2403.03507, github.com/jiaweizzhao/GaLore.
    """

    takes = "step"

    learning_rate: Hyper | None = hyper(
        None,
        allowed=NON_NEGATIVE.but("It is the rate of the step before it."),
        or_part=type(None),
        kw_only=True,
    )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        pull = self.weight_decay
        if self.learning_rate is not None:
            pull = self.learning_rate * pull
        return update - pull * (ctx.param + update), slots


def as_decay(
    weight_decay: ScalarOrSchedule | Decay,
    mask: Any = None,
    name: str = "weight_decay",
) -> Decay:
    """Return the decay that `weight_decay=` of an optimizer means: λ, or a part."""
    if not isinstance(weight_decay, Rule):
        return WeightDecay(weight_decay, mask)
    if not isinstance(weight_decay, Decay):
        raise errors.type_error(
            "chain",
            f"`{name}` must be a number, an array, a schedule or a weight decay",
            repr(weight_decay),
            "Pass for example adamx.parts.CautiousWeightDecay(0.1), or put the part "
            "into adamx.chain beside the optimizer.",
        )
    if mask is not None:
        raise errors.AdamxError(
            f"chain: `mask` must be given to the part that decays, got both mask= and "
            f"{name}={weight_decay!r}. "
            f"Pass {name}={type(weight_decay).__name__}(..., mask=...)."
        )
    return weight_decay


def decoupled(
    weight_decay: ScalarOrSchedule | Decay | None,
    mask: Any = None,
    name: str = "weight_decay",
) -> tuple[Decay, ...]:
    """Return the weight decay of an optimizer in a tuple, empty for 0 or None."""
    if weight_decay is None or is_zero(weight_decay):
        return ()
    return (as_decay(weight_decay, mask, name),)


def with_rate(learning_rate: ScalarOrSchedule, *decays: Decay) -> tuple[Rule, ...]:
    """Return the end of an optimizer: the learning rate, each decay on its side."""
    before = (decay for decay in decays if decay.takes == "direction")
    after = (decay for decay in decays if decay.takes == "step")
    return (*before, LearningRate(learning_rate), *after)


def by_place(weight_decay: Any, mask: Any = None) -> tuple[Any, tuple[Decay, ...]]:
    """Return the decay inside a rule, 0 for none there, and those after the rate."""
    if not isinstance(weight_decay, Rule):
        return weight_decay, ()
    decay = as_decay(weight_decay, mask)  # pyright: ignore[reportArgumentType]
    return (0.0, (decay,)) if decay.takes == "step" else (decay, ())


def decay_term(weight_decay: Any, mask: Any, update: Array, ctx: Context) -> Any:
    """Return what a rule with a decay of its own adds: λ θ, or the term of a part."""
    part = isinstance(weight_decay, DecayBeforeRate)
    if not ctx.selects(weight_decay.mask if part else mask):
        return 0.0
    return weight_decay.term(update, ctx) if part else weight_decay * ctx.param
