"""The layout of arrays on a mesh under `jit`: whole, split, or as another array.

On Explicit axes the layout is part of an array's type. On Auto axes it is XLA's choice,
which a constraint decides. Without a mesh, and inside `shard_map`, nothing is done.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array

from .splits import names_of, own, whole


def layout_of(x: Any) -> tuple[Any, AxisType | None]:
    """Return the sharding that is known of an array, and of which kind its mesh is."""
    if isinstance(x, jax.ShapeDtypeStruct) or not hasattr(x, "shape"):
        return None, None
    known = jax.typeof(x).sharding
    types = () if known.mesh.empty else known.mesh.axis_types
    for kind in (AxisType.Explicit, AxisType.Auto):
        if kind in types:
            return known, kind
    return None, None


def is_on_host(x: Any) -> bool:
    """Return whether an array is in the memory of the host."""
    return jax.typeof(x).memory_space == jax.memory.Space.Host  # pyright: ignore[reportAttributeAccessIssue]


def is_divided(x: Any) -> bool:
    """Return whether the type of an array says that it is divided: on Explicit axes."""
    known, kind = layout_of(x)
    return kind is AxisType.Explicit and any(known.spec)


def unsharded(x: Array, keep: Sequence[int] = ()) -> Array:
    """Gather an array, so that every device has the whole of it, but for some axes.

    A matrix whose iterations must run without communication is gathered once here.
    Along the axes in `keep`, such as that of layers, it stays as it is.
    """
    known, kind = layout_of(x)
    if known is None:
        return x
    kept = [known.spec[i] if i in keep else None for i in range(x.ndim)]
    if kind is AxisType.Explicit:
        return _moved(x, NamedSharding(known.mesh, PartitionSpec(*kept)))
    free = PartitionSpec.UNCONSTRAINED
    spec = PartitionSpec(*(free if i in keep else None for i in range(x.ndim)))
    return jax.lax.with_sharding_constraint(x, NamedSharding(known.mesh, spec))


def unsharded_by_maximum(x: Array) -> Array:
    """Gather a vector of numbers that are not negative, as a maximum over the devices.

    XLA joins it with other maxima into one all-reduce, which it does not do with a
    gather. On Auto axes, where it is not known how the vector is split, it is gathered.
    """
    known, kind = layout_of(x)
    if known is None or kind is not AxisType.Explicit or not known.spec[0]:
        return unsharded(x)
    pieces = math.prod(known.mesh.shape[name] for name in names_of(known.spec[0]))
    each = PartitionSpec(known.spec[0], None)
    rows = jnp.reshape(x, (pieces, -1), out_sharding=NamedSharding(known.mesh, each))
    own = jnp.eye(pieces, dtype=bool)[:, :, None]  # piece i has row i of the result
    own = jax.sharding.reshard(
        own, NamedSharding(known.mesh, PartitionSpec(*each, None))
    )
    return jnp.where(own, rows[:, None], 0).max(0).reshape(-1)


def placed_like(x: Array, like: Array) -> Array:
    """Give an array the layout of another of its shape."""
    known, kind = layout_of(like)
    if known is None:
        return x
    if kind is AxisType.Explicit:
        return _moved(x, known)
    # it is x, whatever `like` holds; XLA lays it out as what it is computed from
    return jnp.where(like == like, x, x)


def _moved(x: Array, sharding: NamedSharding) -> Array:
    same = jax.typeof(x).sharding.spec == sharding.spec
    return x if same else jax.sharding.reshard(x, sharding)


def as_whole(x: Array, split: Any, keep: Sequence[int] = ()) -> Array:
    """Return the whole of an array, under `jit` and inside `shard_map`."""
    return whole(x, split) if names_of(split) else unsharded(x, keep)


def laid_out(x: Array, sharding: NamedSharding | None) -> Array:
    """Give an array that is computed whole a layout; None for the one it has."""
    if sharding is None:
        return x
    if AxisType.Explicit in sharding.mesh.axis_types:
        return _moved(x, sharding)
    return jax.lax.with_sharding_constraint(x, sharding)


def as_piece(x: Array, split: Any, like: Array, keep: Sequence[int] = ()) -> Array:
    """Invert `as_whole`: a whole array as `like`, or the piece of this device."""
    if names_of(split):
        return own(x, split)
    known, kind = layout_of(like)
    if kind is AxisType.Auto and known is not None:
        x = unsharded(x, keep)  # or its layout would spread to how it was computed
    return placed_like(x, like)


def spread_over(
    shape: tuple[int, ...], param: Any, layers: tuple[int, int] | None = None
) -> NamedSharding | None:
    """Return how an array of a shape is split over the devices that split a parameter.

    The first axis that they divide is split; None if the parameter is on no mesh. On
    Auto axes, where under `jit` it is not known how the parameter is split, it is split
    over all of them. `layers` are the axes of layers of the parameter and of the array,
    which on Explicit axes are split alike.
    """
    known, kind = layout_of(param)
    if not isinstance(param, Tracer):
        known = getattr(param, "sharding", None)
    if not isinstance(known, NamedSharding) or kind is None:
        return None
    mesh, entries = known.mesh, list(known.spec)
    entries += [None] * (len(param.shape) - len(entries))
    spec: list[Any] = [None] * len(shape)
    taken: tuple[str, ...] = ()
    if layers is not None and kind is AxisType.Explicit:
        spec[layers[1]] = entries[layers[0]]
        taken = names_of(spec[layers[1]])
    if kind is AxisType.Auto:
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        names = tuple(n for n, k in kinds if k is AxisType.Auto)
    else:
        names = tuple(n for e in entries for n in names_of(e) if n not in taken)
    for count in range(len(names), 0, -1):
        size = math.prod(mesh.shape[n] for n in names[:count])
        free = [i for i in range(len(shape)) if layers is None or i != layers[1]]
        axis = next((i for i in free if shape[i] and shape[i] % size == 0), None)
        if axis is not None and size > 1:
            spec[axis] = names[:count] if count > 1 else names[0]
            break
    return NamedSharding(mesh, PartitionSpec(*spec))
