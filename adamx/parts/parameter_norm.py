"""The norm of a parameter, held or braked after the rate, and the least size of a step.

`Hyperball` keeps each tensor on the sphere on which it began, `RadialBrake` lets a part
of the change of its norm through. Both take the finished step. `UpdateFloor` makes a
direction that is small beside its parameter longer.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..engine.hyperparams import NON_NEGATIVE, UNIT, Hyper, hyper, option
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots
from ..numerics.norms import norm
from .matrix_axes import MatrixAxes
from .matrix_rules import TensorRule

_SHARE = UNIT.but("It is the share of the change that is kept.")


def _to_length(update: Array, param: Array, old: Array, new: Array) -> Array:
    """Return the step that ends at `θ + u` scaled from its length `old` to `new`."""
    factor = jnp.where(old > 0, new / jnp.where(old > 0, old, 1), 1)
    return update + (factor - 1) * (param + update)


class Hyperball(TensorRule):
    """Hold the norm of each tensor at its initial value, after `LearningRate`.

        u ← R (θ + u) / ‖θ + u‖ - θ,    R = ‖θ₀‖

    With `TrustRatio` before the rate, which gives a direction the norm of its
    parameter, a step is that of the paper, θ ← R n(θ - η R n(u)) with n(x) = x / ‖x‖:
    `chain(scale_by_adam(), TrustRatio(), LearningRate(η), Hyperball())` for all
    leaves. η is then the angle of a step, in radians, while it is small.

    A tensor that begins at 0 has no sphere: it takes the steps that it is given.

    Args:
        axes: a mask with axes, as those of `Orthogonalize`: each matrix of a leaf has a
            sphere of its own; None for the whole tensor.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    State: `radius` (R), one number for each tensor, or for each matrix. R is kept, and
    not computed from θ, so that what the rounding of bfloat16 parameters adds to a norm
    does not stay.

    Reference: Wen et al., "From weight decay to hyperball optimization (part 1)", 2025,
    whenwen.github.io/blog/2025/weight-decay-hyperball-part-1.
    """

    takes = "step"

    axes: Any = option(None)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        init = self._length if self.axes is None else self._lengths
        return {"radius": Slot(init=init, labelled_by=self.axes, signed=False)}

    def _length(self, x: Array) -> Array:
        return norm(x, self.axis_name)

    def _lengths(self, axes: MatrixAxes | None, x: Array) -> Array:
        return self._norms_by(axes, x).of(x)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        each = self._norms(update, ctx)
        radius, length = slots["radius"], each.of(ctx.param + update)
        held = jnp.where(radius > 0, radius, length)
        old, new = (each.spread(x, update) for x in (length, held))
        return _to_length(update, ctx.param, old, new), slots


class RadialBrake(Rule):
    """Let only a share of the change of each tensor's norm through, after the rate.

        ‖θ‖ ← ‖θ‖ + s (‖θ + u‖ - ‖θ‖),    s = `outward` if the norm grows, else `inward`

    The direction of the new parameter is that of θ + u. With 0 and 0 the norm of the
    parameter before the step is kept; `Hyperball` keeps that of the first.

    Args:
        outward: the share of a growth that is kept, in [0, 1].
        inward: the share of a decrease that is kept, in [0, 1].
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: `RadialBrakeHook` of github.com/NVIDIA-NeMo/Emerging-Optimizers, 2026,
    whose defaults these are.
    """

    scope = "tensor"
    takes = "step"

    outward: Hyper = hyper(0.5, allowed=_SHARE)
    inward: Hyper = hyper(1.0, allowed=_SHARE)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        before = norm(ctx.param, self.axis_name)
        after = norm(ctx.param + update, self.axis_name)
        change = after - before
        kept = jnp.where(change > 0, self.outward, self.inward)
        return _to_length(update, ctx.param, after, before + kept * change), slots


class UpdateFloor(Rule):
    """Make a direction at least as long as a share of its parameter.

        u ← u max(1, f ‖θ‖ / ‖u‖)

    It stands before the rate; a direction of 0 stays 0.

    Args:
        ratio: f ≥ 0, the least ‖u‖ / ‖θ‖.
        axis_name: inside `shard_map`, the mesh axes over which the leaves are split.

    Reference: the "u/w floor" of github.com/KellerJordan/modded-nanogpt, pull request
    274, 2026, with f = 0.35 for Muon.
    """

    scope = "tensor"

    ratio: Hyper = hyper(0.35, allowed=NON_NEGATIVE)
    axis_name: Any = option(None)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        least = self.ratio * norm(ctx.param, self.axis_name)
        length = norm(update, self.axis_name)
        short = (length > 0) & (length < least)
        factor = jnp.where(short, least / jnp.where(short, length, 1), 1)
        return factor * update, slots
