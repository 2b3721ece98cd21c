"""Methods that use the difference of two gradients: Adan and MARS."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine import hyperparams as hyper
from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Part, Rule, part
from ..engine.state import Leaf, Slot, Slots
from ..numerics.arithmetic import safe_divide
from ..parts.bias_correction import Debiased
from ..parts.clipping import ClipByNorm
from ..parts.denominators import Eps, Precondition, Root
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.weight_decay import decoupled
from ..starts import FromFirst


class WithDifference(Rule):
    """`(mean(g) + β₂ change(g - g')) / by(g + β₂ (g - g'))`, where g' came before g.

    Args:
        mean: the average of the gradient.
        change: the average of the differences; its decay is β₂.
        by: the denominator, of the gradient with the difference.
    """

    mean: Part = part()
    change: Part = part()
    by: Part = part(kw_only=True)

    def slots(self) -> dict[str, Slot]:
        return super().slots() | {"gradient_before": Slot()}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        g, b2 = update, self.change.decay
        diff = jnp.where(leaf.count == 1, 0, g - slots["gradient_before"])
        m, slots = self.mean.apply(g, slots, leaf)
        v, slots = self.change.apply(diff, slots, leaf)
        d, slots = self.by.apply(g + b2 * diff, slots, leaf)
        return safe_divide(m + b2 * v, d), slots | {"gradient_before": g}


@alias
def scale_by_adan(
    b1: Hyper = 0.98,
    b2: Hyper = 0.92,
    b3: Hyper = 0.99,
    eps: Hyper | Eps = 1e-8,
    *,
    from_first: bool = False,
) -> Rule:
    """Adan's direction: `adan` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the differences, and their weight.
        b3: β₃ in [0, 1), the decay of the mean of the square.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        from_first: the start of the paper, see `adan`.

    State: `mu`, `difference`, `nu`, `gradient_before`; 16 bytes per parameter.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """
    started = FromFirst if from_first else Debiased
    change = started(Ema(b2, name="difference", public="b2"))
    root = Root(started(Ema(b3, square, "nu", public="b3")), eps)
    return WithDifference(started(Ema(b1)), change, by=root)


@alias
def adan(
    learning_rate: Hyper,
    b1: Hyper = 0.98,
    b2: Hyper = 0.92,
    b3: Hyper = 0.99,
    eps: Hyper | Eps = 1e-8,
    *,
    from_first: bool = False,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
) -> Chain:
    """Adan: Nesterov's momentum by the difference of two gradients, not two points.

        d = g - g'                              (g' the gradient before; 0 at first)
        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) d                   v̂ = v / (1 - β₂ᵗ)
        n ← β₃ n + (1 - β₃) (g + β₂ d)²         n̂ = n / (1 - β₃ᵗ)
        θ ← θ - η ((m̂ + β₂ v̂) / (sqrt(n̂) + ε) + λ θ)

    Args:
        learning_rate: η ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1): 1 minus the paper's β₁.
        b2: β₂ in [0, 1): 1 minus the paper's β₂.
        b3: β₃ in [0, 1): 1 minus the paper's β₃.
        eps: ε ≥ 0 in units of the gradient, or an eps kind: the versions of the paper
            have it under the root too, `RootEps(1e-8, 1e-8)`.
        from_first: start the averages at their first readings (m = g, v = 0, n = g²),
            as the paper does, instead of correcting them, as the authors' code does.
        weight_decay: λ ≥ 0; the number 0 adds no part. The paper's proximal decay is
            `chain(scale_by_adan(), LearningRate(η), ProximalWeightDecay(λ,
            learning_rate=η))`.
        mask: the leaves that decay, as in `adamw`.

    State: `mu` (m), `difference` (v), `nu` (n), `gradient_before` (g'), all from 0; 16
    bytes per parameter, and the count.

    Departs from the paper: the correction and the decay within the step, both options
    of the authors' code; no restart. Optax has 1 - β₂ where β₂ is right.

    Raises:
        ValueError: an argument out of its range.
        TypeError: an argument that is no number, array or schedule.

    Reference: Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", 2022, Algorithm 1, arXiv:2208.06677.
    """
    direction = scale_by_adan(b1, b2, b3, eps, from_first=from_first)
    return chain(direction, *decoupled(weight_decay, mask), LearningRate(learning_rate))


class VarianceReduced(Rule):
    """`of(c)`, where c is the gradient, corrected by how it changed, and clipped.

        c = g + γ β₁ / (1 - β₁) (g - g'),    c ← c / max(1, ‖c‖)

    Args:
        gamma: γ ≥ 0, how much of the correction is made.
        of: the direction that reads c; its first moment has the decay β₁.
        clip: the bound of c.
        exact: g' is the gradient of the present sample at the point before, given to
            `update` as `gradient_before`; otherwise the gradient of the step before,
            which is kept, 0 at first.
    """

    gamma: Hyper = hyper.hyper(allowed=hyper.NON_NEGATIVE)
    of: Part = part()
    clip: Part = part(kw_only=True)
    exact: bool = hyper.option(False)

    def slots(self) -> dict[str, Slot]:
        kept = {} if self.exact else {"gradient_before": Slot()}
        return kept | super().slots()

    def extras(self) -> frozenset[str]:
        own = frozenset({"gradient_before"} if self.exact else ())
        return own | super().extras()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        g, b1 = update, self.of.moment.decay
        if self.exact:
            before = leaf.extra["gradient_before"].astype(g.dtype)
        else:
            before = slots["gradient_before"]
            slots = slots | {"gradient_before": g}
        c = g + self.gamma * b1 / (1 - b1) * (g - before)
        c, slots = self.clip.apply(c, slots, leaf)
        return self.of.apply(c, slots, leaf)


@alias
def scale_by_mars(
    b1: Hyper = 0.95,
    b2: Hyper = 0.99,
    gamma: Hyper = 0.025,
    eps: Hyper | Eps = 1e-8,
    *,
    exact: bool = False,
    axis_name: Any = None,
) -> Rule:
    """MARS' direction: `mars` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the corrected gradient.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        gamma: γ ≥ 0, how much of the correction is made.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        exact: see `mars`.
        axis_name: see `mars`.

    State: `gradient_before` (unless exact), `mu`, `nu`; 12 bytes per parameter.

    Reference: Yuan et al., "MARS: unleashing the power of variance reduction for
    training large models", ICML 2025, Algorithm 2, arXiv:2411.10438.
    """
    root = Root(Debiased(Ema(b2, square, "nu")), eps)
    adam = Precondition(Debiased(Ema(b1)), by=root)
    clip = ClipByNorm(1.0, axis_name=axis_name)
    return VarianceReduced(gamma, adam, clip=clip, exact=exact)


@alias
def mars(
    learning_rate: Hyper = 3e-3,
    b1: Hyper = 0.95,
    b2: Hyper = 0.99,
    gamma: Hyper = 0.025,
    eps: Hyper | Eps = 1e-8,
    *,
    exact: bool = False,
    axis_name: Any = None,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
) -> Chain:
    """MARS-AdamW: AdamW on a gradient whose variance is reduced by its own past.

        c = g + γ β₁ / (1 - β₁) (g - g'),    c ← c / max(1, ‖c‖)    for each tensor
        θ ← θ - η (u + λ θ)                   (u the step of `adam` on c)

    Args:
        learning_rate: η ≥ 0, in units of the parameter.
        b1: β₁ in [0, 1), the decay of the mean of c.
        b2: β₂ in [0, 1), the decay of the mean of its square.
        gamma: γ ≥ 0, how much of the correction is made.
        eps: ε ≥ 0 in units of the gradient, or an eps kind.
        exact: g' is the gradient of the present sample at the point before (Algorithm
            2), given as `tx.update(..., gradient_before=...)`; by default it is the
            gradient of the step before (MARS-approx), as in the authors' code.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.
        weight_decay: λ ≥ 0; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.

    State: `gradient_before` (g', from 0 as in the authors' code; not kept if exact),
    `mu`, `nu` (from 0); 12 bytes per parameter, and the count.

    Departs from the paper: the approximation by default; the clip is over each tensor,
    as in the authors' code (the paper has one vector).

    Raises:
        ValueError: an argument out of its range; `gradient_before` missing.
        TypeError: an argument that is no number, array or schedule.

    Reference: Yuan et al., "MARS: unleashing the power of variance reduction for
    training large models", ICML 2025, Algorithm 2, arXiv:2411.10438.
    """
    direction = scale_by_mars(b1, b2, gamma, eps, exact=exact, axis_name=axis_name)
    return chain(direction, *decoupled(weight_decay, mask), LearningRate(learning_rate))
