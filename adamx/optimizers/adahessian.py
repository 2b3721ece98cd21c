"""Methods that divide by an estimate of the Hessian's diagonal: Sophia, AdaHessian.

The estimate is an extra argument: `tx.update(grads, state, params, hessian=...)`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine import hyperparams as hyper
from ..engine.chain import Chain, chain
from ..engine.hyperparams import Hyper
from ..engine.keywords import alias
from ..engine.rule import Part, Rule, part
from ..engine.state import Leaf, Slot, Slots
from ..numerics.arithmetic import lerp, safe_divide, safe_sqrt
from ..numerics.norms import own, whole
from ..parts.bias_correction import Debiased
from ..parts.clipping import Clip
from ..parts.denominators import Precondition
from ..parts.learning_rate import LearningRate
from ..parts.moments import Ema, square
from ..parts.weight_decay import WeightDecay, decoupled


def _estimate(leaf: Leaf, like: Array) -> Array:
    return jnp.asarray(leaf.extra["hessian"], like.dtype)


class OverCurvature(Rule):
    """`moment(g) / max(γ h, ε)`, where h averages the estimates of every k-th step.

    Args:
        moment: the rule above the line.
        b2: β₂ in [0, 1), the decay of h.
        gamma: γ > 0, what share of the curvature counts.
        eps: ε ≥ 0, the least denominator.
        update_interval: k; at the other steps the estimate is not read.
    """

    moment: Part = part()
    b2: Hyper = hyper.hyper(0.99, allowed=hyper.FRACTION)
    gamma: Hyper = hyper.hyper(0.01, allowed=hyper.POSITIVE)
    eps: Hyper = hyper.hyper(1e-12, allowed=hyper.NON_NEGATIVE)
    update_interval: int = 10

    def slots(self) -> dict[str, Slot]:
        return self.moment.slots() | {"hessian": Slot()}

    def extras(self) -> frozenset[str]:
        return frozenset({"hessian"})

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        m, slots = self.moment.apply(update, slots, leaf)
        h = slots["hessian"]
        due = (leaf.count - 1) % self.update_interval == 0
        # an estimate that is not due may be anything, such as the last one or NaN
        estimate = jnp.where(due, _estimate(leaf, update), h)
        h = jnp.where(due, lerp(h, estimate, self.b2), h)
        u = safe_divide(m, jnp.maximum(self.gamma * h, self.eps))
        return u, slots | {"hessian": h}


@alias
def scale_by_sophia(
    b1: Hyper = 0.965,
    b2: Hyper = 0.99,
    eps: Hyper = 1e-12,
    *,
    gamma: Hyper = 0.01,
    clip_threshold: Hyper = 1.0,
    update_interval: int = 10,
) -> Chain:
    """Sophia's direction: `sophia` without decay, rate and sign.

    Args:
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the estimates.
        eps: ε ≥ 0, the least denominator.
        gamma: γ > 0, what share of the curvature counts.
        clip_threshold: ρ > 0, the largest element.
        update_interval: k, the steps from one estimate to the next.

    State: `mu`, `hessian`; 8 bytes per parameter.

    Reference: Liu et al., "Sophia: a scalable stochastic second-order optimizer for
    language model pre-training", ICLR 2024, Algorithm 3, arXiv:2305.14342.
    """
    newton = OverCurvature(Ema(b1), b2, gamma, eps, update_interval)
    return chain(newton, Clip(clip_threshold))


@alias
def sophia(
    learning_rate: Hyper,
    b1: Hyper = 0.965,
    b2: Hyper = 0.99,
    eps: Hyper = 1e-12,
    weight_decay: Hyper = 1e-4,
    mask: Any = None,
    gamma: Hyper = 0.01,
    clip_threshold: Hyper = 1.0,
    update_interval: int = 10,
) -> Chain:
    """Sophia: a clipped Newton step by a running estimate of the curvature.

        m ← β₁ m + (1 - β₁) g
        h ← β₂ h + (1 - β₂) ĥ                  (at the steps 1, k + 1, 2 k + 1, …)
        θ ← θ - η (clip(m / max(γ h, ε), ±ρ) + λ θ)

    Every `update` is given `hessian=ĥ`, a tree like the parameters; it is read at every
    k-th step only, so that `lax.cond` may spare the others their estimate.

    Args:
        learning_rate: η ≥ 0, in units of the parameter: the largest step.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean of the estimates.
        eps: ε ≥ 0, the least denominator.
        weight_decay: λ ≥ 0; a step removes the share η λ of a parameter.
        mask: the leaves that decay, as in `adamw`.
        gamma: γ > 0, what share of the curvature counts: so that 10 to 50 % of the
            elements are not clipped.
        clip_threshold: ρ > 0, the largest element before the rate; the paper's is 1.
        update_interval: k, the steps from one estimate to the next.

    State: `mu` (m, from 0), `hessian` (h, from 0); 8 bytes per parameter, and the
    count.

    Departs from the paper: nothing. The authors' code adds ε and renews h after the
    step. Optax corrects m and reads h as it was before; its estimator is a part of the
    optimizer, here it is `hutchinson_estimate` or `gauss_newton_bartlett_estimate`.

    Raises:
        ValueError: an argument out of its range; parameters or `hessian` missing.
        TypeError: an argument that is no number, array or schedule.

    Reference: Liu et al., "Sophia: a scalable stochastic second-order optimizer for
    language model pre-training", ICLR 2024, Algorithm 3, arXiv:2305.14342.
    """
    direction = scale_by_sophia(
        b1,
        b2,
        eps,
        gamma=gamma,
        clip_threshold=clip_threshold,
        update_interval=update_interval,
    )
    return chain(
        direction, WeightDecay(weight_decay, mask), LearningRate(learning_rate)
    )


def over_inputs(d: Array) -> Array:
    """The mean over the inputs of each output: all axes but the last of a matrix, the
    two spatial axes of a convolution kernel (height, width, in, out)."""
    axes = {2: (0,), 3: (0,), 4: (0, 1)}.get(d.ndim, ())
    return jnp.broadcast_to(jnp.mean(d, axis=axes, keepdims=True), d.shape)


class RootCurvature(Rule):
    """`sqrt(v)^k + ε`, where v averages the squares of the averaged estimates.

    Args:
        moment: the average of squares, such as `Debiased(Ema(0.999, square, "nu"))`.
        hessian_power: k in [0, 1].
        eps: ε ≥ 0, added after the power.
        average: the spatial averaging of one estimate, a function of an array.
        magnitude: average the absolute values (the authors' code).
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split:
            the estimate is gathered for `average`.
    """

    moment: Part = part()
    hessian_power: Hyper = hyper.hyper(1.0, allowed=hyper.UNIT)
    eps: Hyper = hyper.hyper(1e-4, allowed=hyper.NON_NEGATIVE)
    average: Callable[[Any], Any] | None = over_inputs
    magnitude: bool = False
    axis_name: Any = hyper.option(None)

    def extras(self) -> frozenset[str]:
        return frozenset({"hessian"})

    def reach(self) -> str:
        return "elementwise" if self.average is None else "per tensor"

    def apply(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        d = _estimate(leaf, update)
        d = jnp.abs(d) if self.magnitude else d
        d = d if self.average is None else self._averaged(d)
        v, slots = self.moment.apply(d, slots, leaf)
        root = safe_sqrt(v)
        if not (hyper.is_constant(self.hessian_power) and self.hessian_power == 1.0):
            none = root == 0  # no derivative there
            power = jnp.where(none, 1, root) ** self.hessian_power
            root = jnp.where(none & (self.hessian_power != 0), 0, power)
        return root + self.eps, slots

    def _averaged(self, d: Array) -> Array:
        axis_name = self.axis_name if d.ndim else None
        return own(self.average(whole(d, axis_name)), axis_name)  # pyright: ignore[reportOptionalCall]


@alias
def scale_by_adahessian(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-4,
    *,
    hessian_power: Hyper = 1.0,
    average: Callable[[Any], Any] | None = over_inputs,
    magnitude: bool = False,
    axis_name: Any = None,
) -> Rule:
    """AdaHessian's direction: `adahessian` without decay, rate and sign.

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
    root = RootCurvature(
        moment, hessian_power, eps, average, magnitude, axis_name=axis_name
    )
    return Precondition(Debiased(Ema(b1)), by=root)


@alias
def adahessian(
    learning_rate: Hyper = 0.15,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-4,
    *,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    hessian_power: Hyper = 1.0,
    average: Callable[[Any], Any] | None = over_inputs,
    magnitude: bool = False,
    axis_name: Any = None,
) -> Chain:
    """AdaHessian: Adam whose denominator is the size of the curvature.

        m ← β₁ m + (1 - β₁) g                   m̂ = m / (1 - β₁ᵗ)
        v ← β₂ v + (1 - β₂) mean(D)²            v̂ = v / (1 - β₂ᵗ)
        θ ← θ - η (m̂ / (sqrt(v̂)^k + ε) + λ θ)

    Every `update` is given `hessian=D`, such as `hutchinson_estimate(loss, params,
    key)`.

    Args:
        learning_rate: η ≥ 0.
        b1: β₁ in [0, 1), the decay of the mean of the gradient.
        b2: β₂ in [0, 1), the decay of the mean square of the estimates.
        eps: ε ≥ 0, added after the power.
        weight_decay: λ ≥ 0; the number 0 adds no part.
        mask: the leaves that decay, as in `adamw`.
        hessian_power: k in [0, 1].
        average: the spatial averaging of one estimate, a function of an array; None for
            none. The default averages over the inputs of each output in JAX's layout.
        magnitude: average |D|, as the authors' code does, instead of D.
        axis_name: inside `shard_map`, the mesh axis over which the first axis is split.

    State: `mu` (m, from 0), `nu` (v, from 0); 8 bytes per parameter, and the count.

    Departs from the paper: ε and the decay, both as in the authors' code.

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
    return chain(direction, *decoupled(weight_decay, mask), LearningRate(learning_rate))
