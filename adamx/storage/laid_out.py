"""How the parameters of a model are laid out on a mesh, leaf by leaf."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.sharding import NamedSharding

from .. import errors
from ..engine.paths import flatten, leaves_by_path
from ..engine.roles import Axes
from ..wrappers.around import inner_of
from ..wrappers.placing import Entry, added, entries_of
from ..wrappers.zero1 import Zero1


class Laid(NamedTuple):
    """The parameters, by leaf, and the specs they are laid out by on a mesh."""

    params: Any
    leaves: list[Any]
    paths: list[str]
    specs: list[tuple[Entry, ...]]
    mesh: Any

    def size(self, entry: Entry) -> int:
        return math.prod(self.mesh.shape[name] for name in entry)

    def of(self, params: Any) -> "Laid":
        """Return the same for some of the parameters; the others are `None`."""
        return self._replace(params=params, leaves=flatten(params)[0])

    def over(self, tx: Zero1) -> "Laid":
        """Return the same where each parameter is divided as in `tx`."""
        if tx.axis not in self.mesh.shape:
            return self
        specs = []
        for x, path, before in zip(self.leaves, self.paths, self.specs, strict=True):
            entries = before
            if x is not None:
                entries, dim = tx.entries(tuple(x.shape), path, before, self.mesh)
                if dim is not None:
                    entries = added(entries, dim, tx.axis)
            specs.append(entries)
        return self._replace(specs=specs)

    def spec(self, shape: Sequence[int], axes: Axes, i: int) -> tuple[Entry, ...]:
        """Return the spec of an array that has these axes of parameter `i`."""
        entries: list[Entry] = []
        for n, axis in zip(shape, axes, strict=True):
            entry = () if axis is None else self.specs[i][axis]
            taken = {name for before in entries for name in before}
            fits = n % self.size(entry) == 0 and not taken & set(entry)
            entries.append(entry if fits else ())
        return tuple(entries)


def is_named(x: Any) -> bool:
    return isinstance(getattr(x, "sharding", None), NamedSharding)


def mesh_of(tx: Any) -> Any:
    """Return the mesh that `zero1` was given, or None."""
    if isinstance(tx, Zero1) and tx.mesh is not None:
        return tx.mesh
    found = (mesh_of(part) for part in inner_of(tx))
    return next((mesh for mesh in found if mesh is not None), None)


def laid_out(params: Any, mesh: Any) -> Laid:
    leaves = flatten(params)[0]
    paths = [path for path, _ in leaves_by_path(params)]
    named = [x.sharding for x in leaves if is_named(x)]
    if mesh is None and not named:
        where = f"`{paths[0]}` has none" if paths else "there are no parameters"
        raise errors.AdamxError(
            f"state_sharding: the parameters must be on a mesh, got {where}. Pass "
            f"mesh=, or parameters with a NamedSharding: jax.device_put(params, "
            f"shardings)."
        )
    mesh = named[0].mesh if mesh is None else mesh
    specs = []
    for x, path in zip(leaves, paths, strict=True):
        spec = x.sharding.spec if is_named(x) else ()
        entries = entries_of(spec, 0 if x is None else len(x.shape))
        for name in (name for entry in entries for name in entry):
            check_axis(mesh, name, f"the sharding of `{path}`")
        specs.append(entries)
    return Laid(params, leaves, paths, specs, mesh)


def check_axis(mesh: Any, name: str, what: str) -> None:
    if name not in mesh.shape:
        raise errors.AdamxError(
            f"state_sharding: {what} must name axes of the mesh, got {name!r}, where "
            f"the mesh has {', '.join(map(repr, mesh.shape)) or 'none'}. Pass mesh= "
            f"the one with this axis."
        )
