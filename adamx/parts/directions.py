"""Rules that change the signs of an update, mask its elements or centre them.

`Sign` and `Centralize` use the update alone. `Cautious` and `Grams` wrap a part and
compare its update with the gradient.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import NON_NEGATIVE, POSITIVE, Hyper, hyper, option
from ..engine.rule import Rule, Wrapper
from ..engine.state import Context, Slots
from ..engine.value import Value
from ..numerics.arithmetic import safe_divide
from ..numerics.norms import mean
from ..numerics.splits import Split, across, along, shards


class Sign(Rule):
    """Replace the update by its sign; the sign of 0 is 0."""

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return jnp.sign(update), slots


class CautiousClamp(Value):
    """Scale by `1 / max(mean(φ), smallest)`: the authors' later code, and timm."""

    smallest: Hyper = hyper(1e-3, allowed=POSITIVE)

    def __call__(self, kept: Array, size: float) -> Array:
        return 1 / jnp.maximum(kept / size, self.smallest)


class CautiousMeanPlusEps(Value):
    """Scale by `1 / (mean(φ) + ε)`: Algorithm 1, which gives no value for ε."""

    eps: Hyper = hyper(1e-8, allowed=NON_NEGATIVE)

    def __call__(self, kept: Array, size: float) -> Array:
        return safe_divide(jnp.sign(kept), kept / size + self.eps)


class CautiousCount(Value):
    """Scale by `d / (|φ|₀ + 1)`: Algorithm 2, and the authors' first code."""

    def __call__(self, kept: Array, size: float) -> Array:
        return size / (kept + 1)


def _check_direction(rule: Wrapper) -> None:
    """Raise an error if the part of a rule makes steps, which oppose the gradient."""
    if rule.part._has_place("step"):
        raise errors.AdamxError(
            f"{type(rule).__name__}: `part` must return a direction, without a "
            f"learning rate, got {rule.part!r}. Pass for example scale_by_adam(), or "
            f"use adamx.{type(rule).__name__.lower()}(...) around the optimizer."
        )


class Cautious(Wrapper):
    """Keep the elements of an update that agree in sign with the gradient, scaled up.

        u = part(g),    φ = 1(u g > 0),    u ← u φ / max(mean(φ), 10⁻³)

    The mean is over the whole tensor. `cautious(tx)` puts it around the direction of an
    optimizer, before weight decay and learning rate.

    Args:
        part: a rule, such as `scale_by_adam()`.
        longer: the scale factor, one of the published forms: `CautiousClamp(1e-3)` (the
            default: the authors' later code), `CautiousMeanPlusEps(eps)`
            (Algorithm 1), `CautiousCount()` (Algorithm 2).
        axis_name: inside `shard_map`, the mesh axes over which the leaf is split.

    Reference: Liang et al., "Cautious optimizers: improving training with one line of
    code", 2024, Algorithms 1 and 2, arXiv:2411.16085.
    """

    scope = "tensor"
    takes = "direction"

    longer: Any = CautiousClamp()
    axis_name: Any = option(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_direction(self)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        u, slots = self.part.apply(update, slots, ctx)
        agreed = u * update > 0
        kept = across(jnp.sum(agreed, dtype=u.dtype), self.axis_name)
        size = float(u.size * shards(self.axis_name))
        return jnp.where(agreed, u, 0) * self.longer(kept, size), slots


class Grams(Wrapper):
    """Give each element of a part's update the sign of the gradient (Grams).

        u ← sign(g) |part(g)|

    `grams(tx)` puts it around the direction of an optimizer, before weight decay and
    learning rate.

    Args:
        part: a rule, such as `scale_by_adam()`.

    Reference: Cao, Li & Song, "Grams: gradient descent with adaptive momentum scaling",
    2024, arXiv:2412.17107.
    """

    takes = "direction"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_direction(self)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        u, slots = self.part.apply(update, slots, ctx)
        return jnp.sign(update) * jnp.abs(u), slots


class Centralize(Rule):
    """Subtract from the gradient its mean over the inputs of each output.

        g ← g - mean(g)

    Vectors are not changed.

    Args:
        axes: the axes of the mean; by default all but the last, which is the output in
            JAX (in torch it is the first).
        axis_name: inside `shard_map`, the mesh axes over which those are split.

    Reference: Yong et al., "Gradient centralization: a new optimization technique for
    deep neural networks", ECCV 2020, eq. 1, arXiv:2004.01461.
    """

    scope = "tensor"
    takes = "either"

    axes: tuple[int, ...] | None = None
    axis_name: Any = option(None)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if update.ndim < 2:
            return update, slots
        axes = tuple(range(update.ndim - 1)) if self.axes is None else self.axes
        split = self.axis_name
        if isinstance(split, Split) and split.dims is not None:
            split = along(split, axes, update.ndim)
        return update - mean(update, axes, split, keepdims=True), slots
