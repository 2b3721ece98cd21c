"""What `memory_plan` says of wrappers that decide where the state is."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .. import errors
from ..engine.divisions import pieces_of
from ..wrappers.around import inner_of
from ..wrappers.grouped import Groups
from ..wrappers.offload import Offloaded
from ..wrappers.zero1 import Zero1
from .abstract import begun
from .laid_out import is_named, laid_out
from .state_sharding import sharding_of


def placed(tx: Any, params: Any) -> Iterator[str]:
    """Yield what `zero1` and `offload` do to these parameters, wherever they are."""
    for part, own in _inside(tx, params):
        yield from placed(part, own)
    if isinstance(tx, Offloaded):
        state, _ = begun(tx, params)
        pairs = zip(jax.tree.leaves(state), tx.selected(state), strict=True)
        moved = sum(_bytes(x, x.shape) for x, moves in pairs if moves)
        yield f"Between steps {moved:,} bytes are in {tx.to} (offload)."
    if isinstance(tx, Zero1):
        yield from _zero1(tx, params)


def undivided(codec: Any, param: Any) -> str:
    """Say that codes are not divided as this parameter is, or nothing if they are."""
    if not is_named(param):
        return ""
    shape, pieces = tuple(param.shape), pieces_of(param, "")
    axis = codec.undivided_axis(shape, pieces)
    if axis is None:
        return ""
    which = "the last axis" if axis == len(shape) - 1 else f"axis {axis}"
    return (
        f"; all of it on each device, as blocks do not end where the {pieces[axis]} "
        f"pieces of {which} do, but with {codec.remedy(shape, pieces)}"
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
    state, _ = begun(tx, params, mesh)
    shardings = jax.tree.leaves(sharding_of(tx, state, laid_out(params, mesh)))
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
