"""Where one array is on a mesh: divided over one more axis, and whole again.

Meshes have three kinds of axes. On `Explicit` ones the type of an array says how it is
divided, and `reshard` changes it. On `Auto` ones only a constraint can be given while
tracing. Inside `shard_map` (`Manual`) each device has its own piece.
"""

import math
from typing import Any, NamedTuple

import jax
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ..numerics.splits import varying

FREE = PartitionSpec.UNCONSTRAINED

Entry = tuple[str, ...]
"""The axes of a mesh along which one axis of an array is divided."""


class Place(NamedTuple):
    """Where one leaf is, and which of its axes is divided over one more.

    Attributes:
        mesh: the mesh, concrete or abstract.
        kind: the kind of the mesh axis.
        entries: how the parameter is divided; None if that is not known while tracing.
        dim: the axis that is divided besides; None for none.
        axis: the mesh axis.
        stays: whether the leaf is divided over the axis already, inside `shard_map`.
    """

    mesh: Any
    kind: Any
    entries: tuple[Entry, ...] | None
    dim: int | None
    axis: str
    stays: bool = False

    def divided(self, x: Any) -> Any:
        """Return a parameter or a gradient, divided over the axis."""
        if self.stays:
            return x
        if self.kind == AxisType.Manual:
            return _own(x, self.axis, self.dim)
        return self._placed(x, self.dim)

    def whole(self, x: Any) -> Any:
        """Return an update as the parameter is."""
        if self.dim is None:
            return x
        if self.kind == AxisType.Manual:
            return jax.lax.all_gather(
                x, self.axis, axis=self.dim, tiled=True, **_gathered(x, self.axis)
            )
        return self._placed(x, None)

    def undivided(self, x: Any) -> Any:
        """Return what is like the parameter, and must not become a piece.

        On `Explicit` axes its type keeps it, inside `shard_map` its shape.
        """
        return self._placed(x, None) if self.kind == AxisType.Auto else x

    def _placed(self, x: Any, over: int | None) -> Any:
        if self.dim is None and self.kind != AxisType.Explicit:
            return x
        entries = self.entries
        if entries is None:
            parts: list[Any] = [FREE] * x.ndim
            parts[self.dim] = None if over is None else self.axis  # pyright: ignore[reportArgumentType, reportCallIssue]
            return self._put(x, PartitionSpec(*parts))
        if over is not None:
            entries = added(entries, over, self.axis)
        return self._put(x, spec_of(entries))

    def _put(self, x: Any, spec: PartitionSpec) -> Any:
        sharding = NamedSharding(self.mesh, spec)
        if not isinstance(x, Tracer):
            return jax.device_put(x, sharding)
        if self.kind == AxisType.Explicit:
            return jax.sharding.reshard(x, sharding)
        return jax.lax.with_sharding_constraint(x, sharding)


def spec_of(entries: tuple[Entry, ...]) -> PartitionSpec:
    """Return the spec of these entries."""
    return PartitionSpec(*(e[0] if len(e) == 1 else (e or None) for e in entries))


def entries_of(spec: Any, ndim: int) -> tuple[Entry, ...]:
    """Return an entry for each axis of an array; one left to the compiler is whole."""
    given = [e if isinstance(e, tuple) else (e,) for e in spec]
    named = [tuple(name for name in e if isinstance(name, str)) for e in given]
    return (*named, *[()] * (ndim - len(named)))


def added(entries: tuple[Entry, ...], dim: int, axis: str) -> tuple[Entry, ...]:
    """Return the entries with one axis divided over `axis` besides."""
    return tuple((*e, axis) if i == dim else e for i, e in enumerate(entries))


def first_divided(
    shape: tuple[int, ...], entries: tuple[Entry, ...], axis: str, mesh: Any
) -> int | None:
    """Return the first axis of an array that the mesh axis divides, too."""
    if any(axis in entry for entry in entries):
        return None
    for i, (n, entry) in enumerate(zip(shape, entries, strict=True)):
        pieces = math.prod(mesh.shape[name] for name in (*entry, axis))
        if n and n % pieces == 0:
            return i
    return None


def mesh_around(x: Any, axis: str) -> Any:
    """Return the mesh that an array is on, or the one of the context; or None."""
    found = getattr(jax.typeof(x).sharding, "mesh", None)
    if not isinstance(x, Tracer) and isinstance(x.sharding, NamedSharding):
        found = x.sharding.mesh
    for mesh in (found, jax.sharding.get_abstract_mesh()):
        if mesh is not None and axis in mesh.axis_names:
            return mesh
    return None


def kind_of(mesh: Any, axis: str) -> Any:
    """Return the kind of a mesh axis; `Manual` inside `shard_map` over it."""
    if axis in jax.sharding.get_abstract_mesh().manual_axes:
        return AxisType.Manual
    return dict(zip(mesh.axis_names, mesh.axis_types, strict=True))[axis]


def known_spec(x: Any) -> Any:
    """Return how an array is divided, as far as it is known; None on `Auto` axes."""
    if isinstance(x, Tracer):
        sharding = jax.typeof(x).sharding
        named = isinstance(sharding, NamedSharding)
        types = sharding.mesh.axis_types if named else ()
        explicit = AxisType.Explicit in types
        return sharding.spec if explicit else None
    return x.sharding.spec if isinstance(x.sharding, NamedSharding) else ()


def _own(x: Any, axis: str, dim: int | None) -> Any:
    """Return the piece of this device; what differs between devices is summed."""
    differs = axis in varying(x)
    if dim is None:
        return jax.lax.psum(x, axis) if differs else x
    if differs:
        return jax.lax.psum_scatter(x, axis, scatter_dimension=dim, tiled=True)
    size = x.shape[dim] // jax.lax.axis_size(axis)
    first = jax.lax.axis_index(axis) * size
    return jax.lax.dynamic_slice_in_dim(x, first, size, dim)


def _gathered(x: Any, axis: str) -> dict[str, str]:
    """Return what tells JAX that all devices have what was gathered, where it asks."""
    return {"to": "invarying"} if axis in varying(x) else {}
