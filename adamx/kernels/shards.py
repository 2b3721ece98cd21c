"""A step of a matrix by the shards in which devices hold it, without communication.

Each device runs a kernel on its shard. Random numbers depend on an element's place in
the whole matrix, so that the result is that of one device, bit for bit.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.custom_partitioning import custom_partitioning

from ..engine.leaf_parts import LeafParts, Rows
from ..numerics.splits import Split, first_indices, names_of
from .scalars import Packing


def why_not(parts: LeafParts) -> str:
    """Return why a leaf cannot be computed by shards; nothing if it can."""
    if len(parts.leaf) != 2 or parts.shape != parts.leaf:
        return "only matrices are computed by shards"
    return ""


def by_shards(
    parts: LeafParts, packing: Packing, prepare: Callable[[LeafParts, Packing], Any]
) -> Callable[..., list]:
    """Return a function of the packed scalars and the operands, which are matrices.

    Args:
        parts: how the whole matrix is computed part by part.
        packing: how its scalars are packed.
        prepare: makes the kernel of a leaf, or says why there is none.
    """

    def compute(alike: Any, word: Any, *arrays: Any) -> list:
        return _run(parts, packing, prepare, (alike, word), arrays)

    def partition(mesh: Any, given: Any, _: Any) -> Any:
        spec = given[2 + list(parts.operands).index("update")].sharding.spec
        rows, columns = (*spec, None, None)[:2]
        if parts.shape[1] % (_size(mesh, columns) * parts.block):
            columns = None  # blocks of codecs are not divided
        every = jax.NamedSharding(mesh, jax.P())
        split = jax.NamedSharding(mesh, jax.P(rows, columns))
        local = parts.of_shard(
            (
                parts.shape[0] // _size(mesh, rows),
                parts.shape[1] // _size(mesh, columns),
            )
        )

        def on_device(alike: Any, word: Any, *arrays: Any) -> list:
            numbers = packing.unpack(alike, word)
            place = Split.by_dims([names_of(axes) for axes in (rows, columns)])
            offset = first_indices(local.shape, place)
            here = Packing((*packing.dtypes, jnp.int32, jnp.int32), packing.words)
            packed = here.pack([*numbers, *offset])
            return _run(local, here, prepare, packed, arrays)

        shardings = every, every, *[split] * len(parts.operands)
        return mesh, on_device, [split] * len(parts.results), shardings

    divided = custom_partitioning(compute)
    before = [_factors(name, like) for name, like in parts.operands.items()]
    after = [_factors(name, like) for name, like in parts.results.items()]
    rule = f"{', '.join(['a', 'b', *before])} -> {', '.join(after)}"
    divided.def_partition(partition=partition, sharding_rule=rule)
    return divided


def _run(parts: Any, packing: Any, prepare: Any, packed: Any, arrays: Any) -> list:
    named = dict(zip(parts.operands, arrays, strict=True))
    kernel = prepare(parts, packing)
    if isinstance(kernel, str):  # the shard has another form than the matrix
        scalars = parts.keyed(packing.unpack(*packed))
        done = parts.on_part(named, scalars, jnp.int32(0), jnp.int32(0))
    else:
        done = kernel.run(named, packed)
    return [done[name] for name in parts.results]


def _factors(name: str, like: Rows) -> str:
    """Name the axes of a matrix; the columns of what has fewer are its own."""
    return "i j" if like.each == 1 else f"i {re.sub('[^a-z0-9]', '', name.lower())}"


def _size(mesh: Any, axes: Any) -> int:
    return math.prod(mesh.shape[name] for name in names_of(axes))
