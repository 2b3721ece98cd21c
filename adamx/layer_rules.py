"""Rules that see one tensor as a whole: local rates, lengths, projections."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .engine import hyperparams as hyper
from .engine.masks import as_mask
from .engine.rule import Part, Rule, part
from .engine.state import Leaf, Slot, Slots
from .numerics.arithmetic import lerp, safe_divide, safe_sqrt
from .numerics.norms import across, norm, rms
from .parts.denominators import Eps


class _PerTensor(Rule):
    """A rule that needs the whole leaf."""

    def reach(self) -> str:
        return "per tensor"


class LocalRate(_PerTensor):
    """LARS: `u = η ‖θ‖ / (‖g‖ + λ ‖θ‖ + ε) (g + λ θ)`; 1 for the rate at a zero norm.

    Args:
        weight_decay: λ ≥ 0.
        mask: the leaves that decay.
        trust_coefficient: η ≥ 0.
        eps: ε ≥ 0, in units of the gradient.
        trust_ratio_mask: the leaves with a local rate; the others give g + λ θ.
        norm_of_sum: divide by ‖g + λ θ‖ + ε, as Optax does.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    2017, Algorithm 1, arXiv:1708.03888.
    """

    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    mask: Any = None
    trust_coefficient: hyper.Hyper = hyper.hyper(1e-3, allowed=hyper.NON_NEGATIVE)
    eps: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    trust_ratio_mask: Any = None
    norm_of_sum: bool = hyper.option(False)
    axis_name: Any = hyper.option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mask", "trust_ratio_mask"):
            mask = as_mask("LocalRate", getattr(self, name))
            object.__setattr__(self, name, mask)

    def reads_param(self) -> bool:
        return True

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        theta: Any = leaf.param
        decay = self.weight_decay if leaf.selects(self.mask) else 0.0
        u = update + decay * theta
        if not leaf.selects(self.trust_ratio_mask):
            return u, slots
        above = norm(theta, self.axis_name)
        if self.norm_of_sum:
            below = norm(u, self.axis_name)
        else:
            below = norm(update, self.axis_name) + decay * above
        trusted = (above != 0) & (below != 0)
        below = jnp.where(trusted, below, 1) + self.eps
        rate = jnp.where(trusted, self.trust_coefficient * above / below, 1)
        return rate * u, slots


class NormEma(_PerTensor):
    """The average of ‖g‖², one number per tensor, started at the first (NovoGrad).

        first step:  v ← ‖g‖²,    then:  v ← β v + (1 - β) ‖g‖²

    Args:
        decay: β in [0, 1), the weight of the past.
        name: the slot that holds v.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive
    moments for training of deep networks", 2019, Algorithm 1, arXiv:1905.11286.
    """

    decay: hyper.Hyper = hyper.hyper(allowed=hyper.FRACTION)
    name: str = hyper.option("nu")
    axis_name: Any = hyper.option(None)

    @property
    def public_names(self) -> dict[str, str]:
        return {"decay": "b2"}

    def slots(self) -> dict[str, Slot]:
        return {self.name: Slot(like=jnp.sum, signed=False)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        squared = across(jnp.sum(update * update), self.axis_name)
        v = lerp(slots[self.name], squared, self.decay)
        v = jnp.where(leaf.count == 1, squared, v)
        return v, slots | {self.name: v}


class Stabilized(_PerTensor):
    """StableAdamW: Adam's step and decay, shortened where the square lags behind.

        ρ = RMS(g / max(sqrt(v̂), ε))
        u = (m̂ / (sqrt(v̂) + ε) + λ θ) / max(1, ρ)

    Args:
        moment: m̂, such as `Debiased(Ema(0.9))`.
        denominator: its root, such as `Root(Debiased(Ema(0.99, square, "nu")), 1e-6)`;
            of an eps kind its `eps` bounds ρ.
        weight_decay: λ ≥ 0; the number 0 needs no parameters.
        mask: the leaves that decay.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: Wortsman et al., "Stable and low-precision training for large-scale
    vision-language models", NeurIPS 2023, Algorithm 2, arXiv:2304.13013.
    """

    moment: Part = part()
    denominator: Part = part()
    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    mask: Any = None
    axis_name: Any = hyper.option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("Stabilized", self.mask))

    def reads_param(self) -> bool:
        return not hyper.is_zero(self.weight_decay)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, leaf)
        d, slots = self.denominator.apply(update, slots, leaf)
        second, eps = self.denominator.moment, self.denominator.eps  # pyright: ignore[reportAttributeAccessIssue]
        weight = leaf.shared.get(f"{second.name}_weight", 1.0)
        floor = eps.eps if isinstance(eps, Eps) else eps  # pyright: ignore[reportAttributeAccessIssue]
        v = slots[second.name] / weight
        ratio = safe_divide(update, jnp.maximum(safe_sqrt(v), floor))
        u = safe_divide(m, d)
        if self.reads_param() and leaf.selects(self.mask):
            u = u + self.weight_decay * leaf.param
        return u / jnp.maximum(rms(ratio, self.axis_name), 1), slots


class Projected(_PerTensor):
    """AdamP: drop the part of a step that only lengthens a scale-invariant weight.

        cos(θ, g) < δ / sqrt(dim):  u = Π_θ(p) + λ r θ,  Π_θ(p) = p - (θ̂·p) θ̂
        otherwise:                  u = p + λ θ

    for the channels (all of which must pass), else for the tensor; tensors of fewer
    than two axes are never projected.

    Args:
        part: the rule that gives p.
        weight_decay: λ ≥ 0; mask: the leaves that decay.
        delta: δ in [0, 1], the least cosine that is not taken for scale invariance.
        wd_ratio: r, the share of the decay that is left to what is projected.
        eps_norm: added to ‖θ‖ in θ̂.
        channel_axis: the axis whose entries are the channels: 0, as in torch, or -1 for
            kernels stored as (in, out).
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split
            along `channel_axis` (or, for other leaves, anyhow).

    Reference: Heo et al., "AdamP: slowing down the slowdown for momentum optimizers on
    scale-invariant weights", ICLR 2021, Algorithm 2, arXiv:2006.08217.
    """

    part: Part = part()
    weight_decay: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    mask: Any = None
    delta: hyper.Hyper = hyper.hyper(0.1, allowed=hyper.UNIT)
    wd_ratio: hyper.Hyper = hyper.hyper(0.1, allowed=hyper.UNIT)
    eps_norm: hyper.Hyper = hyper.hyper(0.0, allowed=hyper.NON_NEGATIVE)
    channel_axis: int = hyper.option(0)
    axis_name: Any = hyper.option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("Projected", self.mask))

    def reads_param(self) -> bool:
        return True

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        p, slots = self.part.apply(update, slots, leaf)
        theta: Any = leaf.param
        decay = self.weight_decay if leaf.selects(self.mask) else 0.0
        if theta.ndim < 2:
            return p + decay * theta, slots
        axes = tuple(
            i for i in range(theta.ndim) if i != self.channel_axis % theta.ndim
        )
        by_channel, one = self._view(theta, update, p, axes, None)
        by_tensor, other = self._view(theta, update, p, None, self.axis_name)
        q = jnp.where(one, by_channel, jnp.where(other, by_tensor, p))
        share = jnp.where(one | other, self.wd_ratio, 1)
        return q + decay * share * theta, slots

    def _view(
        self, theta: Any, g: Any, p: Any, axes: Any, axis_name: Any
    ) -> tuple[Any, Any]:
        """The projection over `axes`, and whether the test passes."""

        def dot(a: Any, b: Any) -> Any:
            return across(jnp.sum(a * b, axes, keepdims=True), axis_name)

        length, steepness = (safe_sqrt(dot(x, x)) for x in (theta, g))
        cosine = safe_divide(jnp.abs(dot(theta, g)), length * steepness)
        unit = safe_divide(theta, length + self.eps_norm)
        dimension = across(jnp.asarray(theta.size // length.size), axis_name)
        passes = jnp.max(cosine) < self.delta / dimension.astype(theta.dtype) ** 0.5
        if self.axis_name is not None:
            passes = jax.lax.pmin(passes.astype(jnp.int32), self.axis_name) == 1
        return p - dot(unit, p) * unit, passes
