"""The shapes of a state, as `init` begins it from parameters that are on a mesh."""

import warnings
from typing import Any

import jax
from jax.sharding import AxisType

from ..engine.divisions import Fitted, told
from ..engine.paths import paths
from ..wrappers.around import inner_of, without_places
from ..wrappers.grouped import Groups
from ..wrappers.zero1 import Zero1
from .laid_out import Laid, is_named, laid_out, mesh_of


def begun(tx: Any, params: Any, mesh: Any = None) -> tuple[Any, list[Fitted]]:
    """Return the shapes and dtypes of the state that `tx.init` makes outside `jit`.

    Also return the slots of leaves whose layout is another where `init` does not see
    the mesh.
    """
    mesh = mesh_of(tx) if mesh is None else mesh
    if mesh is None and not any(map(is_named, jax.tree.leaves(params))):
        return jax.eval_shape(without_places(tx).init, params), []
    laid = laid_out(params, mesh)
    pieces, known = _pieces(tx, laid)
    with told(pieces) as fitted:
        # a function of its own: JAX knows the shapes of one that it has seen
        state = jax.eval_shape(lambda p: without_places(tx).init(p), params)
    return state, [one for one in fitted if one.path not in known]


def _pieces(tx: Any, laid: Laid) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Return into how many pieces the axes of each leaf are divided, by path.

    Also return the leaves of which `zero1` tells `init` that, under `jit`, too.
    """
    known: set[str] = set()
    if isinstance(tx, Zero1):
        given = dict(tx.specs)
        named = zip(paths(laid.params), laid.specs, strict=True)
        known = {path for path, spec in named if path in given or not any(spec)}
        laid = laid.over(tx)
    leaves = zip(paths(laid.params), laid.leaves, laid.specs, strict=True)
    found = {
        path: tuple(laid.size(entry) for entry in entries)
        for path, p, entries in leaves
        if p is not None
    }
    if isinstance(tx, Groups):
        own = tx.params_of_members(laid.params)
        for member, params in zip(tx.members, own, strict=True):
            inside = _pieces(member.tx, laid.of(params))
            found, known = found | inside[0], known | inside[1]
        return found, known
    for inner in inner_of(tx):
        inside = _pieces(inner, laid)
        found, known = found | inside[0], known | inside[1]
    return found, known


def is_seen_under_jit(mesh: Any) -> bool:
    """Return whether `init` sees under `jit`, too, how the parameters are divided."""
    return all(kind is AxisType.Explicit for kind in mesh.axis_types)


def warn_of(where: str, fitted: list[Fitted], mesh: Any) -> None:
    """Warn if the state is another where `init` is called under `jit`."""
    if not fitted or is_seen_under_jit(mesh):
        return
    one = fitted[0]
    others = f" (and {len(fitted) - 1} more)" if len(fitted) > 1 else ""
    warnings.warn(
        f"{where}: the layout of the slot `{one.slot}` of `{one.path}`{others} follows "
        f"the {one.pieces} pieces of axis {one.axis}, which tx.init sees outside jit "
        f"only, as axes of the mesh are Auto. Call tx.init(params) outside jax.jit, or "
        f"choose a layout for all meshes: {one.remedy}. Under jax.jit the state has "
        f"other shapes, and every device keeps all of this slot.",
        stacklevel=3,
    )
