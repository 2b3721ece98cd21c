"""Low-precision parameters: stochastic rounding, and float32 masters of bfloat16.

`optax.apply_updates` adds a float32 update to a bfloat16 parameter and rounds the sum
to nearest, which loses most of a small step. The rules here, the last of a chain,
choose the rounded parameter and return the float32 update that leads to it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.nested import by_path, check_readable, find_states, map_params
from ..engine.rule import Rule
from ..engine.state import Context, Slot, Slots, State, is_absent
from ..numerics.random_bits import Uniform, key_of
from .cast import rounded

_RESIDUAL = "residual"


class _LastPart(Rule):
    """Base of rules that come last and return a float32 update for the parameter."""

    place = "last"
    takes = "step"

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param", "random"}


class StochasticRounding(_LastPart):
    """Round new bfloat16 or float16 parameters θ + u stochastically, without bias.

    Args:
        seed: the integer from which the random numbers follow, with the step, the
            leaf's path and the element's index. There is no state.

    The update of parameters of other dtypes is not changed.
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


class SplitMaster(_LastPart):
    """Keep float32 masters of bfloat16 parameters, as the parameter and a residual.

        bits(master) = bits(θ) · 2¹⁶ + residual

    With 16 bits of residual the master is float32 bit for bit, and θ is the master
    rounded to bfloat16. With 8 it is a 24-bit float (8 bits of exponent, 15 of
    mantissa), to which a step is rounded stochastically, without bias.

    If no float32 u makes θ + u the wanted parameter (which would have to be 2¹⁶ times
    smaller after one step), the master is set as near to the wanted one as the actual
    parameter allows, so that the two always agree.

    Args:
        bits: 16 or 8, of the residual.
        seed: the seed of stochastic rounding.

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
    """Split a float32 into (bfloat16 in float32, residual of 16 bits).

    Halves are rounded away from zero. `joined` restores every bit of all 2³² patterns.
    """
    bits = _as_bits(master)
    high = (bits + 0x8000) & ~0xFFFF  # wraps around at the ends, as the difference does
    return _as_float(high), bits - high


def joined(weight: Float[Array, "..."], residual: Array) -> Array:
    """Return the float32 master from a weight and its residual of 16 bits."""
    return _as_float(_as_bits(weight) + residual)


def in_24_bits(master: Float[Array, "..."], draw: Any) -> Array:
    """Round a float32 to 24 bits stochastically, by `draw` in (0, 1)."""
    bits = _as_bits(master)
    up = (bits & 0xFF) > jnp.floor(draw * 256).astype(jnp.int32)
    cut = (bits & ~0xFF) + jnp.where(up, 0x100, 0)
    return jnp.where(jnp.isfinite(master), _as_float(cut), master)


def residual_from(landed: Array, master: Array, unit: int) -> Array:
    """Return the residual, in `unit`s, that makes the weight nearest to the master."""
    weight, wanted = _as_bits(landed), _as_bits(master)
    same_side = (weight ^ wanted) >= 0
    highest = 0x8000 - unit
    away = jnp.clip(jnp.where(same_side, wanted - weight, 0), -0x8000, highest)
    return jnp.where(jnp.isfinite(landed) | jnp.isinf(master), away, 0)


def stochastic_rounding(seed: Any = 0) -> StochasticRounding:
    """Round parameters stochastically; the last part of a chain.

    It is for bfloat16 and float16 parameters: see `StochasticRounding`.

    Args:
        seed: the seed of the random numbers.
    """
    return StochasticRounding(seed)


def split_master(bits: int = 16, *, seed: Any = 0) -> SplitMaster:
    """Keep float32 masters of bfloat16 parameters; the last part of a chain.

    See `SplitMaster`.

    Args:
        bits: 16 or 8, of the residual.
        seed: the seed of stochastic rounding (8 bits).

    Raises:
        ValueError: `bits` is neither.
    """
    return SplitMaster(bits, seed)


def master_params(state: Any, params: Any) -> Any:
    """Return the float32 masters of bfloat16 parameters updated with `split_master`.

    Args:
        state: the state of a chain with a `split_master`, in any nesting.
        params: the parameters that go with it.

    Raises:
        ValueError: the state has no residual, or several.
    """
    check_readable("master_params", state, (State,))
    states = find_states(state, State)
    residuals = [x.slots[_RESIDUAL] for x in states if _RESIDUAL in x.slots]
    if len(residuals) != 1:
        raise errors.AdamxError(
            f"master_params: the state must hold one residual, got {len(residuals)}. "
            f"Put split_master() last in the chain."
        )
    kept = by_path("master_params", residuals[0], params)

    def one(path: str, p: Any) -> Any:
        if path not in kept or is_absent(kept[path]):
            return p
        unit = 1 if kept[path].dtype == jnp.int16 else 256
        residual = kept[path].astype(jnp.int32) * unit
        return joined(p.astype(jnp.float32), residual)

    return map_params(one, params)
