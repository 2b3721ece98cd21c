"""The scalars of a step as one array of 32-bit words, for a kernel."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Packing(NamedTuple):
    """The dtypes of scalars, which `pack` and `unpack` put into arrays and take out."""

    dtypes: tuple[Any, ...]

    @property
    def why_not(self) -> str:
        """Why these scalars cannot be given to a kernel; nothing if they can."""
        known = (jnp.float32, jnp.int32, jnp.uint32, jnp.bool_)
        other = [d for d in self.dtypes if d not in known]
        return f"its arithmetic uses {other[0].name}" if other else ""

    def pack(self, scalars: Sequence) -> Any:
        """Return the bits of all scalars as one array, which is not empty."""

        def bits(x: Any, dtype: Any) -> Any:
            x = jnp.asarray(x, dtype)
            if dtype == jnp.bool_:
                return x.astype(jnp.int32)
            return jax.lax.bitcast_convert_type(x, jnp.int32)

        pairs = zip(scalars, self.dtypes, strict=True)
        return jnp.stack([*(bits(x, dtype) for x, dtype in pairs), jnp.int32(0)])

    def unpack(self, packed: Any) -> list:
        """Return the scalars, read from what `pack` returned or a reference to it."""

        def value(bits: Any, dtype: Any) -> Any:
            if dtype == jnp.bool_:
                return bits != 0
            return jax.lax.bitcast_convert_type(bits, dtype)

        return [value(packed[i], dtype) for i, dtype in enumerate(self.dtypes)]


def packed_as(scalars: Sequence) -> Packing:
    """Return how these scalars are packed."""
    return Packing(tuple(jnp.dtype(x.dtype) for x in scalars))
