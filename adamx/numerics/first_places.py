"""Where each of many ids stands first, found without sorting them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .random_bits import mixed

_FREE = 4
"""About how many slots there are for each id."""


def first_places(ids: Int[Array, " k"]) -> Int[Array, " k"]:
    """Return for each id the first place at which it stands; int32.

    Each id is put into a slot that its bits say, and those that share a slot into
    others, until all are apart: a few turns, of a time that grows with the number of
    ids. In each turn, at least the ids of one slot find the first of them.
    """
    size = ids.shape[0]
    if size < 2:
        return jnp.zeros_like(ids)
    numbers = jnp.arange(size, dtype=jnp.int32)
    bits = min((_FREE * size - 1).bit_length(), 30)
    slots = 1 << bits

    def turned(carry: tuple) -> tuple:
        turn, first, _ = carry
        is_open = first < 0
        slot = (_spread(ids, turn) >> jnp.uint32(32 - bits)).astype(jnp.int32)
        taken = jnp.full(slots, size, jnp.int32)
        taken = taken.at[jnp.where(is_open, slot, slots)].min(numbers, mode="drop")
        there = jnp.minimum(taken.at[slot].get(mode="promise_in_bounds"), size - 1)
        same = is_open & (ids.at[there].get(mode="promise_in_bounds") == ids)
        first = jnp.where(same, there, first)
        return turn + 1, first, (first < 0).any()

    start = jnp.uint32(0), jnp.full_like(ids, -1), jnp.array(True)
    return jax.lax.while_loop(lambda carry: carry[2], turned, start)[1]


def _spread(ids: Array, turn: Array) -> Array:
    """Return other bits for each id, otherwise in each turn."""
    x = ids.astype(jnp.uint32) + turn * jnp.uint32(0x9E3779B9)
    return mixed(x, jnp.uint32(0))
