"""The scalars of a step as two arrays of 32-bit words, for a kernel."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Packing(NamedTuple):
    """How scalars are put into arrays and taken out.

    The first array has those that are equal for leaves that are alike: XLA computes it
    once for all of them. The second has the word of the leaf's path, a constant.

    Attributes:
        dtypes: those of the scalars.
        words: which of them are the word of the leaf's path.
    """

    dtypes: tuple[Any, ...]
    words: tuple[int, ...]

    @property
    def why_not(self) -> str:
        """Why these scalars cannot be given to a kernel; nothing if they can."""
        known = (jnp.float32, jnp.int32, jnp.uint32, jnp.bool_)
        other = [d for d in self.dtypes if d not in known]
        return f"its arithmetic uses {other[0].name}" if other else ""

    def pack(self, scalars: Sequence) -> tuple[Any, Any]:
        """Return two arrays, of which neither is empty."""

        def bits(x: Any, dtype: Any) -> Any:
            x = jnp.asarray(x, dtype)
            if dtype == jnp.bool_:
                return x.astype(jnp.int32)
            return jax.lax.bitcast_convert_type(x, jnp.int32)

        every = [bits(x, d) for x, d in zip(scalars, self.dtypes, strict=True)]
        alike = [x for i, x in enumerate(every) if i not in self.words]
        word = every[self.words[0]] if self.words else jnp.int32(0)
        return jnp.stack([*alike, jnp.int32(0)]), word[None]

    def unpack(self, alike: Any, word: Any) -> list:
        """Return the scalars, read from what `pack` returned or references to it."""

        def value(bits: Any, dtype: Any) -> Any:
            if dtype == jnp.bool_:
                return bits != 0
            return jax.lax.bitcast_convert_type(bits, dtype)

        found, n = [], 0
        for i, dtype in enumerate(self.dtypes):
            own = i in self.words
            found.append(value(word[0] if own else alike[n], dtype))
            n += not own
        return found


def packed_as(scalars: Sequence, words: tuple[int, ...]) -> Packing:
    """Return how these scalars are packed."""
    return Packing(tuple(jnp.dtype(x.dtype) for x in scalars), words)
