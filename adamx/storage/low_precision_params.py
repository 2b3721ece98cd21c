"""Where a parameter of few digits lands: rounding parts, the last of a chain.

`optax.apply_updates` adds a float32 update to a bfloat16 parameter and rounds the sum
to nearest, which loses most of a small step. The parts here choose where the parameter
is to land, and return the float32 update that takes it there.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots, State, find_states, is_absent
from ..numerics.random_bits import Uniform, key_of
from .cast import rounded

_RESIDUAL = "residual"


class _Landing(Rule):
    """A rule that reads the parameter and returns a float32 update, and is last."""

    place = "last"

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param", "random"}


class StochasticRounding(_Landing):
    """The parameter lands on either neighbour of θ + u, right on average.

    Args:
        seed: the integer that the random numbers follow from, with the step, the leaf's
            path and the element's place. Nothing is kept.

    For bfloat16 and float16 parameters; others take u as it is.
    """

    seed: Any = 0

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if ctx.dtype not in (jnp.bfloat16, jnp.float16):
            return update, slots
        uniform = Uniform(key_of(self.seed, ctx.key), draw=1)
        target = rounded(ctx.param + update, ctx.dtype, uniform)
        return target.astype(update.dtype) - ctx.param, slots


class SplitMaster(_Landing):
    """bfloat16 parameters whose float32 master is the parameter and a residual.

        bits(master) = bits(θ) · 2¹⁶ + residual

    With 16 bits of residual the master is float32 bit for bit, and θ is the master
    rounded to bfloat16. With 8 it is a 24-bit float (8 bits of exponent, 15 of
    mantissa), to which a step is rounded at random, right on average.

    Where θ + u in float32 cannot reach the wanted parameter (it would have to shrink
    2¹⁶ times in one step), the master is brought as near to the wanted one as the
    parameter it really lands on allows: the two never part.

    Args:
        bits: 16 or 8, of the residual.
        seed: the integer that random rounding follows from.

    State: `residual`, int16 or int8.
    """

    bits: int = 16
    seed: Any = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in (8, 16):
            raise errors.AdamxError(
                f"split_master: `bits` must be 16 or 8, got {self.bits!r}. It is the "
                f"size of the residual beside each bfloat16 parameter."
            )

    def slots(self) -> dict[str, Slot]:
        dtype = jnp.dtype(jnp.int16 if self.bits == 16 else jnp.int8)
        return {_RESIDUAL: Slot(dtype=dtype)}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if ctx.dtype != jnp.bfloat16:
            raise errors.AdamxTypeError(
                f"split_master: every parameter must be bfloat16, got "
                f"{jnp.dtype(ctx.dtype).name}. Cast it, or leave it out with "
                f"Masked(split_master(), mask)."
            )
        unit = 2 ** (16 - self.bits)
        param = ctx.param.astype(jnp.float32)
        residual = slots[_RESIDUAL].astype(jnp.int32) * unit
        master = joined(param, residual) + update.astype(jnp.float32)
        master = jnp.where(jnp.isnan(master), jnp.nan, master)
        if self.bits == 8:
            draw = Uniform(key_of(self.seed, ctx.key), draw=1)(master.shape)
            master = in_24_bits(master, draw)
        wanted, _ = split(master)
        step = wanted - param
        landed = (param + step).astype(jnp.bfloat16).astype(jnp.float32)
        kept = residual_from(landed, master, unit) // unit
        return step.astype(update.dtype), slots | {_RESIDUAL: kept.astype(update.dtype)}


def _as_bits(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, jnp.int32)


def _as_float(bits: Array) -> Array:
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def split(master: Float[Array, "..."]) -> tuple[Array, Array]:
    """A float32 as (bfloat16 in float32, residual of 16 bits): half rounds away.

    Integers only: `joined` gives back every bit of all 2³² patterns.
    """
    bits = _as_bits(master)
    high = (bits + 0x8000) & ~0xFFFF  # wraps at the ends, as the difference does
    return _as_float(high), bits - high


def joined(weight: Float[Array, "..."], residual: Array) -> Array:
    """The float32 master of a weight and its residual of 16 bits."""
    return _as_float(_as_bits(weight) + residual)


def in_24_bits(master: Float[Array, "..."], draw: Any) -> Array:
    """A float32 rounded to 24 bits, up in magnitude where `draw` in (0, 1) says so."""
    bits = _as_bits(master)
    up = (bits & 0xFF) > jnp.floor(draw * 256).astype(jnp.int32)
    cut = (bits & ~0xFF) + jnp.where(up, 0x100, 0)
    return jnp.where(jnp.isfinite(master), _as_float(cut), master)


def residual_from(landed: Array, master: Array, unit: int) -> Array:
    """The residual that takes the weight nearest to the master, in units of `unit`."""
    weight, wanted = _as_bits(landed), _as_bits(master)
    same_side = (weight ^ wanted) >= 0
    highest = 0x8000 - unit
    away = jnp.clip(jnp.where(same_side, wanted - weight, 0), -0x8000, highest)
    return jnp.where(jnp.isfinite(landed) | jnp.isinf(master), away, 0)


def stochastic_rounding(seed: Any = 0) -> StochasticRounding:
    """The last part of a chain for bfloat16 and float16 parameters: see the class.

    Args:
        seed: the integer that the random numbers follow from.
    """
    return StochasticRounding(seed)


def split_master(bits: int = 16, *, seed: Any = 0) -> SplitMaster:
    """The last part of a chain for bfloat16 parameters with a master: see the class.

    Args:
        bits: 16 or 8, of the residual.
        seed: the integer that random rounding follows from (8 bits).

    Raises:
        ValueError: `bits` is neither.
    """
    return SplitMaster(bits, seed)


def master_params(state: Any, params: Any) -> Any:
    """The float32 masters of bfloat16 parameters that `split_master` steps.

    Args:
        state: the state of a chain with a `split_master`, in any nesting.
        params: the parameters that go with it.

    Raises:
        ValueError: the state has no residual, or several.
    """
    states = find_states(state, State)
    residuals = [x.slots[_RESIDUAL] for x in states if _RESIDUAL in x.slots]
    if len(residuals) != 1:
        raise errors.AdamxError(
            f"master_params: the state must hold one residual, got {len(residuals)}. "
            f"Put split_master() last in the chain."
        )

    def one(p: Any, residual: Any) -> Any:
        if is_absent(residual):
            return p
        unit = 1 if residual.dtype == jnp.int16 else 256
        return joined(p.astype(jnp.float32), residual.astype(jnp.int32) * unit)

    return jax.tree.map(one, params, residuals[0])
