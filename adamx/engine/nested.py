"""Finding states in what trainers keep: nests, boxes of Flax, and forms as dicts.

A state may be nested in the states of Optax and of trainers, its arrays may be in boxes
(`nnx.Optimizer.opt_state`), and it may have become a mapping from its field names, as
`nnx.state(optimizer)`, `nnx.to_pure_dict` and `flax.serialization.to_state_dict` make
it, where empty fields are left out.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from .. import errors
from .paths import _children, is_box, leaves_by_path, plain
from .state import Absent


def fields_of(x: Any, kind: Any) -> dict[str, Any] | None:
    """Return the fields of a state of one kind, None if `x` is another thing."""
    fields: tuple[str, ...] = kind._fields
    if isinstance(x, kind):
        return {name: getattr(x, name) for name in fields}
    names = set(x) if isinstance(x, Mapping) else set()
    if fields[0] in names and names <= set(fields):
        return {name: x.get(name, {}) for name in fields}
    return None


def find_states(state: Any, kind: Any) -> list[Any]:
    """Find every state of one kind, outer ones before inner ones, without boxes.

    `kind` is a NamedTuple class whose first field is never empty.
    """
    return [found for _, found in find_by_group(state, kind)]


def find_by_group(state: Any, kind: Any, group: str = "") -> list[tuple[str, Any]]:
    """Find every state of one kind, each with the group that it is in.

    A group is a text such as "decay/", for one with the label `decay` in
    `optax.partition`, or "group2/" in `adamx.groups`, whose first state of a name has
    none. It is "" outside of groups.
    """
    found: list[tuple[str, Any]] = []
    fields = fields_of(state, kind)
    if fields is not None:
        made = kind(**{name: plain(field) for name, field in fields.items()})
        found.append((group, made))
        below = list(fields.items())
    else:
        below = _below(state)
    for name, child in below:
        own = _group_names(name, child)
        inside = (
            [("", child)] if own is None else [(own[k], x) for k, x in child.items()]
        )
        found += [
            one for label, x in inside for one in find_by_group(x, kind, group + label)
        ]
    return found


_LABELS = {"inner_states": r"(.*)", "inner": r"(group\d+)_"}
"""The fields that hold states of groups: those of Optax, and those of a `State`."""


def _group_names(field: Any, child: Any) -> dict[Any, str] | None:
    """Return what each state in a field adds to the group; None if it has no groups."""
    if field not in _LABELS or not isinstance(child, Mapping):
        return None
    labels = {key: re.match(_LABELS[field], str(key)) for key in child}
    if not any(labels.values()):
        return None
    return {key: "" if x is None else f"{x[1]}/" for key, x in labels.items()}


def map_by_group(
    state: Any,
    kind: Any,
    change: Callable[[dict[str, Any], str], dict],
    group: str = "",
) -> Any:
    """Replace the fields of every state of one kind by `change(fields, group)`.

    `change` is given the fields that the state has and its group (`find_by_group`), and
    returns those that change. The containers and boxes of the state remain.
    """

    def inside(name: Any, child: Any) -> Any:
        own = _group_names(name, child)
        if own is None:
            return map_by_group(child, kind, change, group)
        pairs, treedef = _children(child)
        each = [map_by_group(x, kind, change, group + own[_key(k)]) for k, x in pairs]
        return treedef.unflatten(each)

    fields = fields_of(state, kind)
    if isinstance(state, Mapping):
        pairs, treedef = _children(state)
        here = {_key(key): child for key, child in pairs}
        new = here | ({} if fields is None else change(here, group))
        return treedef.unflatten([inside(name, new[name]) for name in here])
    if fields is not None:
        state = state._replace(**change(fields, group))
    if state is None or is_box(state) or jax.tree_util.all_leaves([state]):
        return state
    pairs, treedef = _children(state)
    return treedef.unflatten([inside(_key(key), child) for key, child in pairs])


def _key(key: Any) -> Any:
    """Return the name of a child; None for one of a list, and of an unknown node."""
    return key.key if hasattr(key, "key") else getattr(key, "name", None)


def _below(x: Any) -> list[tuple[Any, Any]]:
    """Return the names and children of a container, none of a leaf or a box."""
    if x is None or is_box(x) or jax.tree_util.all_leaves([x]):
        return []
    return [(_key(key), child) for key, child in _children(x)[0]]


@functools.cache
def _forms_of_optax() -> frozenset[frozenset[str]]:
    """Return the field names of the classes of Optax's states."""
    everything = [*vars(optax).values(), *vars(optax.contrib).values()]
    classes = [x for x in everything if isinstance(x, type) and issubclass(x, tuple)]
    fields = [getattr(x, "_fields", ()) for x in classes if "State" in x.__name__]
    return frozenset(frozenset(names) for names in fields if names)


def is_of_optax(x: Any) -> bool:
    """Return whether `x` is a state of Optax, or a mapping from the fields of one."""
    if isinstance(x, Mapping):
        return bool(x) and frozenset(x) in _forms_of_optax()
    return isinstance(x, tuple) and type(x).__module__.split(".")[0] == "optax"


def is_readable(state: Any, kinds: tuple[Any, ...]) -> bool:
    """Return whether a state is empty, or one of these kinds or of Optax is in it."""
    if _is_mapping(state) and "step" in state and set(state) <= {"step", "opt_state"}:
        state = state.get("opt_state", {})  # the state of an `nnx.Optimizer`
    if not jax.tree.leaves(state) or is_of_optax(state):
        return True
    if any(fields_of(state, kind) is not None for kind in kinds):
        return True
    return any(
        is_readable(child, kinds)
        for _, child in _below(state)
        if jax.tree.leaves(child)
    )


def check_readable(where: str, state: Any, kinds: tuple[Any, ...]) -> None:
    """Raise an error if nothing in a state can be read."""
    if not is_readable(state, kinds):
        keys = f" with the keys {errors.listed(state)}" if _is_mapping(state) else ""
        raise errors.type_error(
            where,
            "`state` must hold the state of an optimizer",
            f"{type(state).__name__}{keys}",
            "Pass what tx.init and tx.update return, optimizer.opt_state of nnx, or "
            "its form as a dict.",
        )


def _is_mapping(x: Any) -> bool:
    return isinstance(x, Mapping)


def by_path(where: str, kept: Any, params: Any) -> dict[str, Any]:
    """Return what a tree in a state keeps for the parameters, by path.

    Leaves that `optax.masked` and `optax.partition` hide are missing in the result, and
    those that do not have the slot, for which nothing is left in the forms of nnx.

    Raises:
        ValueError: the tree is not that of these parameters.
    """

    def is_hidden(x: Any) -> bool:
        empty = _is_mapping(x) and not x
        return empty or isinstance(x, optax.MaskedNode | Absent)

    leaves = leaves_by_path(kept, is_hidden)
    hidden = {path for path, x in leaves if x is None or is_hidden(x)}
    found = {path: x for path, x in leaves if path not in hidden}
    names = [path for path, x in leaves_by_path(params) if x is not None]
    unknown = found.keys() - set(names)
    missing = [
        path
        for path in names
        if path not in found and not any(_is_below(path, above) for above in hidden)
    ]
    if unknown or (missing and not found):
        raise errors.AdamxError(
            f"{where}: the state must be that of these parameters, got "
            f"{errors.listed(sorted(unknown) or missing)} in one of the two only. Pass "
            f"the parameters that the optimizer updates."
        )
    return found


def _is_below(path: str, above: str) -> bool:
    return path == above or above == "" or path.startswith(above + "/")


def map_params(function: Callable[[str, Any], Any], params: Any) -> Any:
    """Map `function(path, leaf)` over parameters; boxes and `None` remain."""
    leaves, treedef = jax.tree.flatten(params, is_leaf=lambda x: x is None)
    paths = [path for path, _ in leaves_by_path(params)]
    new = [
        p if p is None else function(path, p)
        for path, p in zip(paths, leaves, strict=True)
    ]
    return treedef.unflatten(new)
