"""ZeRO-1: the state of an optimizer divided over the devices that share a batch."""

import math
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import AxisType

from .. import errors
from ..engine.divisions import told
from ..engine.leaves import column
from ..engine.paths import flatten, leaves_by_path, paths
from ..engine.slot_trees import is_placeholder
from ..numerics.splits import varying
from .around import Around, as_inner
from .placing import (
    Entry,
    Place,
    added,
    entries_of,
    first_divided,
    kind_of,
    known_spec,
    mesh_around,
)


class Zero1(Around):
    """Run `inner` on the pieces of every leaf (see `zero1`)."""

    axis: str = "data"
    mesh: Any = None
    specs: tuple[tuple[str, Any], ...] = ()

    places = True

    def __repr__(self) -> str:
        mesh = "" if self.mesh is None else f", mesh={self.mesh!r}"
        return f"zero1({self.inner!r}, {self.axis!r}{mesh})"

    def inside_shard_map(self) -> str:
        return f"It divides leaves itself: zero1(tx, {self.axis!r}, specs=...)."

    def entries(
        self, shape: tuple[int, ...], path: str, entries: tuple[Entry, ...], mesh: Any
    ) -> tuple[tuple[Entry, ...], int | None]:
        """Return how a leaf is divided, and the axis that is divided besides."""
        given = dict(self.specs)
        if path in given:
            entries = entries_of(given[path], len(shape))
        alone = mesh.shape[self.axis] == 1
        divided = None if alone else first_divided(shape, entries, self.axis, mesh)
        return entries, divided

    def whole_leaves(self, params: Any, mesh: Any) -> list[str]:
        """Return the paths of the leaves that are whole on every device."""
        found = []
        for path, p in leaves_by_path(params):
            if p is not None:
                spec = getattr(getattr(p, "sharding", None), "spec", ())
                given = entries_of(spec or (), len(p.shape))
                entries, dim = self.entries(tuple(p.shape), path, given, mesh)
                if dim is None and not any(self.axis in e for e in entries):
                    found.append(path)
        return found

    def places_of(self, tree: Any) -> list[Place | None]:
        """Return where each leaf is, None for a `None`."""
        named = leaves_by_path(tree)
        unknown = sorted({path for path, _ in self.specs} - {path for path, _ in named})
        if unknown:
            raise errors.AdamxError(
                f"zero1: `specs` must be a tree like the parameters, got one for "
                f"`{unknown[0]}`, where the parameters have "
                f"{errors.listed([path for path, _ in named])}. Pass a PartitionSpec "
                f"for each of them."
            )
        return [None if x is None else self._place(path, x) for path, x in named]

    def _place(self, path: str, x: Any) -> Place:
        mesh = self.mesh if self.mesh is not None else mesh_around(x, self.axis)
        if mesh is None:
            raise errors.AdamxError(
                f"zero1: a mesh with the axis {self.axis!r} must be known, got none "
                f"for `{path}`. Pass mesh=, or put the parameters on a mesh: "
                f"jax.device_put(params, NamedSharding(mesh, PartitionSpec()))."
            )
        kind = kind_of(mesh, self.axis)
        if kind == AxisType.Manual:
            inside, dim = self.entries(x.shape, path, entries_of((), x.ndim), mesh)
            # unless `shard_map` checks it, only specs say that it is a piece already
            named = any(self.axis in entry for entry in inside)
            stays = named or self.axis in varying(x)
            return Place(mesh, kind, inside, None if stays else dim, self.axis, stays)
        spec = known_spec(x)
        if spec is None and path not in dict(self.specs):
            _, dim = self.entries(x.shape, path, entries_of((), x.ndim), mesh)
            return Place(mesh, kind, None, dim, self.axis)
        before = entries_of(spec or (), x.ndim)
        others = sorted({name for entry in before for name in entry} - {self.axis})
        known = kind == AxisType.Explicit or path in dict(self.specs)
        if others and not known:
            raise errors.AdamxError(
                f"zero1: how a leaf is divided must be known while tracing, got "
                f"`{path}` over {', '.join(map(repr, others))} of a mesh of Auto axes, "
                f"where it is not. Pass specs= the PartitionSpecs of the parameters."
            )
        entries, dim = self.entries(x.shape, path, before, mesh)
        return Place(mesh, kind, entries, dim, self.axis)

    def _check_inside(self, places: list[Place | None]) -> None:
        """Raise an error inside `shard_map` for what would sum over a piece only."""
        if not any(p is not None and p.kind == AxisType.Manual for p in places):
            return
        for rule, _ in self._in_order():
            if rule is None or rule._widest_scope() != "element":
                raise errors.AdamxError(
                    f"zero1: inside shard_map over {self.axis!r} every element must be "
                    f"updated by itself, got "
                    f"{errors.shorten(repr(rule or self.inner))}, which would see its "
                    f"piece of a leaf only. Run it under jax.jit, outside shard_map."
                )

    def _init(self, params: Any) -> Any:
        if is_placeholder(params):
            return self.inner.init(params)
        leaves, treedef = flatten(params)
        places = self.places_of(params)
        self._check_inside(places)
        pieces = [
            x if place is None else place.divided(x)
            for x, place in zip(leaves, places, strict=True)
        ]
        with told(dict(_told(paths(params), leaves, places))):
            return self.inner.init(treedef.unflatten(pieces))

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        leaves, treedef = flatten(updates)
        here = leaves if params is None else column("params", params, updates)
        pairs = zip(leaves, here, strict=True)
        like = treedef.unflatten([None if g is None else p for g, p in pairs])
        places = self.places_of(like)
        self._check_inside(places)

        def each(change: Any, column: list) -> Any:
            new = [
                x if place is None else change(place, x)
                for x, place in zip(column, places, strict=True)
            ]
            return treedef.unflatten(new)

        grads = each(Place.divided, leaves)
        pieces = None if params is None else each(Place.divided, here)
        extras = {
            name: each(Place.divided, treedef.flatten_up_to(x))
            if _is_like(x, updates)
            else x
            for name, x in extra.items()
        }
        new, after = self.inner._update(grads, state, pieces, extras)
        return each(Place.whole, flatten(new)[0]), after


def _told(
    paths: list[str], leaves: list, places: list[Place | None]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield how leaves are divided, by path, where `jit` does not see it."""
    for path, x, place in zip(paths, leaves, places, strict=True):
        if place is None or place.kind != AxisType.Auto:
            continue
        entries = place.entries or ((),) * len(x.shape)
        if place.dim is not None:
            entries = added(entries, place.dim, place.axis)
        sizes = place.mesh.shape
        yield path, tuple(math.prod(sizes[n] for n in entry) for entry in entries)


def _is_like(x: Any, updates: Any) -> bool:
    """Return whether an extra argument is a tree like the updates, of their shapes."""
    if jax.tree.structure(x) != jax.tree.structure(updates):
        return False
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(updates), strict=True)
    return all(getattr(a, "shape", None) == b.shape for a, b in pairs)


def zero1(tx: Any, axis: Any = "data", *, mesh: Any = None, specs: Any = None) -> Zero1:
    """Divide the state of an optimizer over a mesh axis; parameters stay as they are.

    Each device keeps and updates one piece of every moment, along the first axis of the
    leaf that the mesh axis divides, and the updates are gathered: besides the sum of
    the gradients one all-gather for each leaf, and none of moments. The steps are those
    of `tx` on one device, to rounding.

        tx = zero1(adamw(3e-4), "data")
        state = jax.jit(tx.init)(params)

    It works on `Auto` and `Explicit` meshes, and inside `jax.shard_map` over the axis.
    Gradients that are not summed yet (`unreduced` on an `Explicit` mesh, or different
    on the devices inside `shard_map`) are summed into the pieces at once: that is the
    reduce-scatter. What inside `shard_map` is the same on all devices counts as summed.
    With `check_vma=False` everything does, and every leaf counts as whole unless
    `specs` name the axis for it.

    Leaves that are divided over the axis already (FSDP) are left as they are, and
    leaves of which it divides no axis are whole on every device: `memory_plan` names
    them. An optimizer that needs whole matrices, such as `muon`, gathers its momentum
    in addition.

    Args:
        tx: any gradient transformation.
        axis: the mesh axis over which the batch is divided.
        mesh: the mesh, if the parameters are not on one.
        specs: the `PartitionSpec`s of the parameters, a tree like them. Needed where
            they are divided over other axes of an `Auto` mesh (tensor parallel), as
            JAX does not say so while tracing, and for leaves that are divided already
            inside `shard_map(check_vma=False)`.

    State: that of `tx`, in pieces: `state_sharding(zero1(tx), params)` says how.

    Raises:
        ValueError: no mesh has the axis; `specs` are needed, or have another tree than
            the parameters; inside `shard_map`, a
            rule that needs more than one element.
        TypeError: `tx` is no gradient transformation; `axis` is no name.
    """
    inner = as_inner("zero1", tx, "Pass for example zero1(adamw(1e-3), 'data').")
    if not isinstance(axis, str):
        raise errors.type_error(
            "zero1",
            "`axis` must be the name of one mesh axis",
            errors.shown(axis),
            "Pass for example 'data'.",
        )
    if mesh is not None and axis not in getattr(mesh, "axis_names", ()):
        names = ", ".join(map(repr, getattr(mesh, "axis_names", ()))) or "none"
        raise errors.AdamxError(
            f"zero1: `axis` must be an axis of the mesh, got {axis!r}, where the mesh "
            f"has {names}. Pass the axis over which the batch is divided."
        )
    pairs = () if specs is None else tuple(leaves_by_path(specs, _is_spec))
    for path, spec in pairs:
        if not (spec is None or _is_spec(spec)):
            raise errors.type_error(
                "zero1",
                f"`specs` must be PartitionSpecs, `{path}` is not",
                errors.shown(spec),
                "Pass a tree like the parameters: {'kernel': P(None, 'model')}.",
            )
    known = tuple((path, spec) for path, spec in pairs if spec is not None)
    return Zero1(inner, axis, mesh, known)


def _is_spec(x: Any) -> bool:
    return isinstance(x, jax.sharding.PartitionSpec)
