"""Where the arrays of an optimizer's state are: `state_sharding`, `abstract_state`."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from .. import errors
from ..engine.chain import Chain, External
from ..engine.paths import flatten, leaves_by_path
from ..engine.roles import apart, axes_of, told_apart
from ..engine.rule import Rule
from ..engine.slot_trees import column_of, with_columns
from ..engine.slots import join
from ..engine.state import Slot, State
from ..engine.tree import selected
from ..wrappers.around import Around
from ..wrappers.grouped import Groups
from ..wrappers.offload import Offloaded
from ..wrappers.placing import Entry, added, entries_of, first_divided, spec_of
from ..wrappers.zero1 import Zero1
from .abstract import begun, warn_of
from .laid_out import Laid, check_axis, is_named, laid_out, mesh_of


def state_sharding(
    tx: Any,
    params: Any,
    *,
    mesh: Any = None,
    shard_over: str | None = None,
    memory_kind: str | Mapping[str, str] | None = None,
    overrides: Sequence[tuple[str, PartitionSpec]] = (),
) -> Any:
    """Return the sharding of every array of a state, in the structure of `tx.init`.

        sharding = adamx.state_sharding(tx, params)
        state = jax.jit(tx.init, out_shardings=sharding)(params)

    Codecs may lay out what they keep by how the parameters are divided (see
    `storage.Blockwise`). On Auto axes `init` sees that outside `jit` only; a warning
    names such a slot, and then `state = tx.init(params)` begins it on its devices.

    An axis of a slot that is an axis of its parameter is divided as that is: all of
    them where the slot is like the parameter, those that remain in sums over rows and
    columns, and the blocks of a codec along the axis that they cut. The rows of a
    square basis and the long axis of a low-rank factor are too. Where a mesh does not
    divide an axis, and for numbers of the whole tree, the array is on every device. In
    states of Optax and others an array belongs to the parameter whose path its own path
    ends with, and its axes are told by their lengths.

    Args:
        tx: a transformation of adamx, of Optax, or of both.
        params: the parameters: arrays, or `ShapeDtypeStruct`s with shardings.
        mesh: the mesh, if the parameters have none, or another one with axes of the
            same names.
        shard_over: an axis of the mesh over which every array is divided besides,
            along the first axis that it divides (ZeRO-1).
        memory_kind: "pinned_host" for all arrays, or a mapping from patterns of paths
            in the state, such as `{"slots/nu": "pinned_host"}`. Scalars stay on the
            device.
        overrides: pairs of a pattern of paths in the state and a `PartitionSpec`; the
            first that is found in a path (`re.search`) counts.

    Raises:
        ValueError: no mesh; an axis that the mesh does not have, or that does not
            divide an array; a pattern that is in no path; a kind of memory that is not
            there.
    """
    laid = laid_out(params, mesh_of(tx) if mesh is None else mesh)
    if shard_over is not None:
        check_axis(laid.mesh, shard_over, "`shard_over`")
    state, fitted = begun(tx, params, mesh)
    made = sharding_of(tx, state, laid, shard_over, memory_kind, overrides)
    warn_of("state_sharding", fitted, laid.mesh)
    return made


def sharding_of(
    tx: Any,
    state: Any,
    laid: Laid,
    shard_over: str | None = None,
    memory_kind: Any = None,
    overrides: Any = (),
) -> Any:
    """Return the sharding of every array of a state that `begun` has made."""
    leaves, treedef = flatten(state)
    specs = flatten(_specs(tx, state, laid))[0]
    paths = [path for path, _ in leaves_by_path(state)]
    kinds = _kinds(memory_kind, paths, laid.mesh)
    chosen = _overridden(overrides, paths)
    made = []
    for x, path, spec in zip(leaves, paths, specs, strict=True):
        if path in chosen:
            spec = _given(chosen[path], x, path, laid)
        elif x is not None and shard_over is not None:
            spec = _over(shard_over, spec, x.shape, laid)
        if x is None:
            made.append(None)
            continue
        kind = kinds(path, x.ndim)
        made.append(_sharding(laid.mesh, spec, spec.kind if kind is None else kind))
    return treedef.unflatten(made)


def abstract_state(tx: Any, params: Any, sharding: Any = None) -> Any:
    """Return the shapes, dtypes and shardings of a state: the target of a restore.

        target = adamx.abstract_state(tx, params)
        state = checkpointer.restore(path, target)

    Nothing is allocated, and `update` refuses it.

    Args:
        tx: a transformation.
        params: the parameters: arrays, or `ShapeDtypeStruct`s.
        sharding: one sharding for all arrays, or a tree of them like the state. By
            default that of `state_sharding(tx, params)` if the parameters are on a
            mesh or `zero1` was given one, else none.

    Raises:
        ValueError: `sharding` is a tree of another structure.
    """
    state, fitted = begun(tx, params)
    on_mesh = mesh_of(tx) or any(map(is_named, jax.tree.leaves(params)))
    if on_mesh:
        laid = laid_out(params, mesh_of(tx))
        sharding = sharding_of(tx, state, laid) if sharding is None else sharding
        warn_of("abstract_state", fitted, laid.mesh)
    leaves, treedef = jax.tree.flatten(state)
    if sharding is None or isinstance(sharding, jax.sharding.Sharding):
        each = [sharding] * len(leaves)
    else:
        each, given = jax.tree.flatten(sharding)
        if given != treedef:
            raise errors.AdamxError(
                f"abstract_state: `sharding` must have the structure of the state, got "
                f"{errors.shorten(str(given))}. Make it by adamx.state_sharding(tx, "
                f"params), or pass one sharding for all arrays."
            )
    return treedef.unflatten(
        [
            jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
            for x, s in zip(leaves, each, strict=True)
        ]
    )


# ---- the specs of a state --------------------------------------------------------


def _specs(tx: Any, state: Any, laid: Laid) -> Any:
    """Return the specs of a state, each a leaf of a tree with its structure."""
    if isinstance(tx, Zero1):
        laid = laid.over(tx)
    if isinstance(tx, Around):
        inner = _specs(tx.inner, tx.state_inside(state), laid)
        if isinstance(tx, Offloaded):
            leaves, treedef = jax.tree.flatten(inner)
            for spec, moved in zip(leaves, tx.selected(state), strict=True):
                spec.kind = tx.to if moved else spec.kind
            return treedef.unflatten(leaves)
        own = tx.own_slots()
        kept = {name: getattr(state, name) for name in own}
        outside = jax.tree.map(lambda x: _Spec(()), tx.around(state, ()))
        specs = tx.around(outside, inner)
        nothing = [frozenset(slot.masks) for slot in own.values()]
        for (name, slot), masks in zip(own.items(), nothing, strict=True):
            masked = [masks] * len(laid.leaves)
            specs = specs._replace(**{name: _of_slot(slot, kept[name], masked, laid)})
        return specs
    if isinstance(tx, Groups) and isinstance(state, State):
        apart = tx.apart(state, laid.params)
        specs = [_specs(one, own, laid.of(part)) for one, own, part in apart]
        return tx.together(_Spec(()), specs, laid.params)
    if not (isinstance(tx, Rule | Chain) and isinstance(state, State)):
        return _foreign(tx, state, laid)
    slots = dict(state.slots)
    for part in tx.passes if isinstance(tx, Chain) else (tx,):
        if isinstance(part, Rule):
            masks = selected(part, laid.params, len(laid.leaves))
            for name, slot in part.slots().items():
                kept = slots[name]
                slots[name] = (
                    _Spec(()) if slot.shared else _of_slot(slot, kept, masks, laid)
                )
    inner = dict(state.inner)
    for part in tx.parts if isinstance(tx, Chain) else ():
        if isinstance(part, External):
            inner[part.name] = _specs(part.tx, state.inner[part.name], laid)
    return State(_Spec(()), slots, inner)


class _Spec:
    """A spec, and a kind of memory if it is chosen, as a leaf of a tree."""

    def __init__(self, entries: tuple[Entry, ...], kind: str | None = None) -> None:
        self.entries, self.kind = entries, kind


def _of_slot(slot: Slot, kept: Any, masks: list[frozenset], laid: Laid) -> Any:
    column = join(slot, kept, lambda tree: column_of(tree, laid.params))

    def one(i: int, part: str, x: Any) -> Any:
        p = laid.leaves[i]
        if p is None:
            return None
        axes = axes_of(slot, part, x, p, masks[i], laid.paths[i])
        return x if axes is None else _Spec(laid.spec(x.shape, axes, i))

    specs = [
        {part: one(i, part, x) for part, x in parts.items()}
        if isinstance(parts, dict)
        else one(i, "", parts)
        for i, parts in enumerate(column)
    ]

    def also(x: Any) -> Any:  # what is kept once for all leaves
        return x if isinstance(x, _Spec) else _Spec(((),) * x.ndim)

    return jax.tree.map(also, with_columns(slot, kept, specs))


def _foreign(tx: Any, state: Any, laid: Laid) -> Any:
    """Return the specs of a state that is not adamx's, by path and lengths."""
    leaves, treedef = flatten(state)
    others = _with_axes_apart(tx, state, laid)
    specs = []
    for x, other, (path, _) in zip(leaves, others, leaves_by_path(state), strict=True):
        i = None if x is None else _owner(path, laid)
        if x is None or i is None:
            specs.append(None if x is None else _Spec(((),) * len(x.shape)))
            continue
        whole = tuple(laid.leaves[i].shape)
        axes = told_apart(tuple(x.shape), tuple(other.shape), whole)
        if len(axes) == len(whole):  # blocks of an axis stand in its place
            axes = tuple(
                k if a is None and k not in axes and n < whole[k] else a
                for k, (n, a) in enumerate(zip(x.shape, axes, strict=True))
            )
        specs.append(_Spec(laid.spec(x.shape, axes, i)))
    return treedef.unflatten(specs)


def _with_axes_apart(tx: Any, state: Any, laid: Laid) -> list[Any]:
    """Return the leaves of a state of parameters whose axes have different lengths."""
    same = flatten(state)[0]
    longer = [
        p if p is None else jax.ShapeDtypeStruct(apart(tuple(p.shape)), p.dtype)
        for p in laid.leaves
    ]
    try:
        made = jax.eval_shape(tx.init, flatten(laid.params)[1].unflatten(longer))
    except (ValueError, TypeError):  # it takes these lengths only
        return same
    return flatten(made)[0] if flatten(made)[1] == flatten(state)[1] else same


def _owner(path: str, laid: Laid) -> int | None:
    """Return the parameter whose path the path of a state's leaf ends with."""
    ends = [
        (len(p), i)
        for i, p in enumerate(laid.paths)
        if laid.leaves[i] is not None and (not p or f"/{path}".endswith(f"/{p}"))
    ]
    return max(ends)[1] if ends else None


# ---- what the caller changes -----------------------------------------------------


def _over(axis: str, spec: Any, shape: tuple[int, ...], laid: Laid) -> Any:
    """Divide the first axis of an array that `axis` divides, too."""
    dim = first_divided(shape, spec.entries, axis, laid.mesh)
    return spec if dim is None else _Spec(added(spec.entries, dim, axis), spec.kind)


def _overridden(
    overrides: Sequence[tuple[str, PartitionSpec]], paths: list[str]
) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for pattern, spec in overrides:
        for path in _found("overrides", pattern, paths):
            chosen.setdefault(path, spec)
    return chosen


def _found(where: str, pattern: str, paths: list[str]) -> list[str]:
    try:
        found = [path for path in paths if re.search(pattern, path)]
    except re.error as error:
        raise errors.AdamxError(
            f"state_sharding: `{where}` must have valid regular expressions, got "
            f"{pattern!r} ({error}). It is searched for in paths such as {paths[-1]!r}."
        ) from None
    if not found:
        raise errors.AdamxError(
            f"state_sharding: a pattern of `{where}` must be found in a path of the "
            f"state, got {pattern!r}. The paths are {errors.listed(paths)}."
        )
    return found


def _given(spec: Any, x: Any, path: str, laid: Laid) -> Any:
    entries = entries_of(spec, len(x.shape))
    if len(entries) > len(x.shape):
        raise errors.AdamxError(
            f"state_sharding: an override must have at most the axes of the array, got "
            f"{spec} for `{path}` of shape {x.shape}. Leave the others out."
        )
    for i, (n, entry) in enumerate(zip(x.shape, entries, strict=True)):
        for name in entry:
            check_axis(laid.mesh, name, f"the override of `{path}`")
        if n % laid.size(entry):
            raise errors.AdamxError(
                f"state_sharding: an override must divide the array, got {spec} for "
                f"`{path}`, whose axis {i} of length {n} is not divided by "
                f"{' × '.join(entry)} = {laid.size(entry)}. Leave this axis whole."
            )
    return _Spec(entries)


def _kinds(given: Any, paths: list[str], mesh: Any) -> Callable[[str, int], Any]:
    """Return a function from a path and its number of axes to a kind of memory."""
    patterns = given if isinstance(given, Mapping) else {}
    by_path: dict[str, str] = {}
    for pattern, kind in patterns.items():
        _check_kind(kind, mesh)
        for path in _found("memory_kind", pattern, paths):
            by_path.setdefault(path, kind)
    one = None if isinstance(given, Mapping) else given
    if one is not None:
        _check_kind(one, mesh)
    return lambda path, ndim: by_path.get(path, one) if ndim else None


def _check_kind(kind: str, mesh: Any) -> None:
    devices = getattr(mesh, "devices", None)  # an AbstractMesh has none
    if devices is None:
        return
    known = [m.kind for m in devices.flat[0].addressable_memories()]
    if kind not in known:
        raise errors.AdamxError(
            f"state_sharding: `memory_kind` must be one of {', '.join(known)} on these "
            f"devices, got {kind!r}. Leave it out for the memory of the device."
        )


def _sharding(mesh: Any, spec: Any, kind: str | None) -> NamedSharding:
    return NamedSharding(mesh, spec_of(spec.entries), memory_kind=kind)
