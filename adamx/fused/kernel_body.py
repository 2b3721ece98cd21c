"""What kernels of all platforms share: the scalars of a step, and its arithmetic."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..engine.inlining import inlined
from ..engine.leaf_parts import LeafParts


class Packing(NamedTuple):
    """The dtypes of scalars, which `pack` and `unpack` put into arrays and take out."""

    dtypes: tuple[Any, ...]

    @property
    def why_not(self) -> str:
        """Why these scalars cannot be given to a kernel; nothing if they can."""
        known = (jnp.float32, jnp.int32, jnp.uint32, jnp.bool_)
        other = [d for d in self.dtypes if d not in known]
        return f"its arithmetic uses {other[0].name}" if other else ""

    def pack(self, scalars: Sequence) -> tuple[Any, Any]:
        """Return the floats, and the integers by their bits; neither is empty."""
        floats = [x for x, d in self._pairs(scalars) if d == jnp.float32]
        integers = [x for x, d in self._pairs(scalars) if d != jnp.float32]
        integers = [jnp.asarray(x).astype(jnp.int32) for x in integers]
        return (
            jnp.stack([*map(jnp.asarray, floats), jnp.float32(0)]),
            jnp.stack([*integers, jnp.int32(0)]),
        )

    def unpack(self, floats: Any, integers: Any) -> list:
        """Return the scalars, read from what `pack` returned or a reference to it."""
        found, f, i = [], 0, 0
        for dtype in self.dtypes:
            if dtype == jnp.float32:
                found.append(floats[f])
                f += 1
                continue
            value = integers[i]
            found.append(value != 0 if dtype == jnp.bool_ else value.astype(dtype))
            i += 1
        return found

    def _pairs(self, scalars: Sequence) -> Any:
        return zip(scalars, self.dtypes, strict=True)


def packing(scalars: Sequence) -> Packing:
    """Return how these scalars are packed."""
    return Packing(tuple(jnp.dtype(x.dtype) for x in scalars))


def body(
    parts: LeafParts,
    packing: Packing,
    names: Sequence[str],
    tile: tuple[int, int],
    platform: str,
    instead: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[[Any, Any, list, list], list]:
    """Return the step of a tile as one list of operations, in a platform's form.

    `instead` has functions for operations that the platform's kernels do not have.

    It is a function of the row and column of the first element, the scalars and the
    blocks of the operands `names`; it returns those of the results, in their order.
    """

    def step(row: Any, column: Any, scalars: list, blocks: list) -> list:
        results = parts.on_part(
            dict(zip(names, blocks, strict=True)), scalars, row, column
        )
        return [results[name] for name in parts.results]

    blocks = []
    for name in names:
        like = parts.operands[name]
        shape = tile[0], tile[1] // like.each
        blocks.append(jax.ShapeDtypeStruct(shape, like.dtype))
    scalars = [jax.ShapeDtypeStruct((), dtype) for dtype in packing.dtypes]
    place = jax.ShapeDtypeStruct((), jnp.int32)
    traced = jax.make_jaxpr(step)(place, place, scalars, blocks)
    flat = inlined(traced, platform, instead)
    return lambda row, column, scalars, blocks: flat(row, column, *scalars, *blocks)


def in_place(parts: LeafParts, names: Sequence[str]) -> dict[int, int]:
    """Return which operands, behind the two of scalars, are which results.

    The slots and the parameter are. The gradient is not, as it may be used again.
    """
    kept = [n for n in parts.results if n != "update"]
    return {2 + names.index(n): list(parts.results).index(n) for n in kept}
