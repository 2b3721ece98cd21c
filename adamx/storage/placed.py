"""What `memory_plan` says of wrappers that decide where the state is."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .. import errors
from ..wrappers.around import inner_of, without_places
from ..wrappers.grouped import Groups
from ..wrappers.offload import Offloaded
from ..wrappers.placing import entries_of
from ..wrappers.zero1 import Zero1
from .blockwise import Blockwise
from .laid_out import is_named
from .state_sharding import state_sharding


def placed(tx: Any, params: Any) -> Iterator[str]:
    """Yield what `zero1` and `offload` do to these parameters, wherever they are."""
    for part, own in _inside(tx, params):
        yield from placed(part, own)
    if isinstance(tx, Offloaded):
        state = jax.eval_shape(without_places(tx).init, params)
        pairs = zip(jax.tree.leaves(state), tx.selected(state), strict=True)
        moved = sum(_bytes(x, x.shape) for x, moves in pairs if moves)
        yield f"Between steps {moved:,} bytes are in {tx.to} (offload)."
    if isinstance(tx, Zero1):
        yield from _zero1(tx, params)


def undivided(codec: Any, param: Any) -> str:
    """Say that codes are not divided as this parameter is, or nothing if they are."""
    if not (isinstance(codec, Blockwise) and is_named(param) and param.shape):
        return ""
    names = entries_of(param.sharding.spec, len(param.shape))[-1]
    pieces = math.prod(param.sharding.mesh.shape[name] for name in names)
    shape = tuple(param.shape)
    if codec.divides(shape, pieces):
        return ""
    fitted = dataclasses.replace(codec, shards=pieces)
    remedy = (
        f"Blockwise(shards={pieces})"
        if fitted.divides(shape, pieces)
        else "no block fits; Cast(jnp.bfloat16) stays divided"
    )
    return (
        f"; all of it on each device, as blocks do not end where the {pieces} pieces "
        f"of the last axis do: {remedy}"
    )


def _inside(tx: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the transformations inside, each with its parameters."""
    if isinstance(tx, Groups):
        for member, own in zip(tx.members, tx.params_of_members(params), strict=True):
            yield member.tx, own
    else:
        yield from ((part, params) for part in inner_of(tx))


def _zero1(tx: Zero1, params: Any) -> Iterator[str]:
    meshes = [p.sharding.mesh for p in jax.tree.leaves(params) if is_named(p)]
    mesh = meshes[0] if tx.mesh is None and meshes else tx.mesh
    if mesh is None:
        yield (
            "How zero1 divides the state is not known: pass parameters that are on a "
            "mesh, or zero1(mesh=...)."
        )
        return
    number = mesh.shape[tx.axis]
    state = jax.eval_shape(without_places(tx).init, params)
    shardings = jax.tree.leaves(state_sharding(tx, params, mesh=mesh))
    pairs = zip(jax.tree.leaves(state), shardings, strict=True)
    here = sum(_bytes(x, s.shard_shape(x.shape)) for x, s in pairs)
    yield f"On each of the {number} devices of {tx.axis!r} are {here:,} bytes (zero1)."
    whole = tx.whole_leaves(params, mesh)
    if whole and number > 1:
        yield (
            f"Whole on every device, as {number} divides none of their axes (zero1): "
            f"{errors.listed(whole)}."
        )


def _bytes(x: Any, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * jnp.dtype(x.dtype).itemsize
