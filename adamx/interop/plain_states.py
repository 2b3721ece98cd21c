"""States of Optax that have become dicts and lists, made states again.

So Orbax returns them without a target, and `flax.serialization.to_state_dict` makes
them. A dict with exactly the fields of a state in `optax_states.FIELDS` is that state.
Those with the same fields hold the same slots, so the first is as good as another, but
for SM3's, which has a list where others have an array.
"""

import collections
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ..engine.paths import flatten, is_none, plain
from . import optax_states as states
from .nests import children, is_empty, is_node

_AROUND = {
    "InjectStatefulHyperparamsState": {
        *("count", "hyperparams", "hyperparams_states", "inner_state"),
    },
    "MultiStepsState": {
        *("mini_step", "gradient_step", "inner_opt_state", "acc_grads", "skip_state"),
    },
}
"""The fields of states around others that count the steps of what is inside."""


def from_plain(saved: Any, params: Any) -> Any:
    """Return what was saved with states of Optax in the places of their dicts.

    Args:
        saved: nested dicts, lists and tuples; a list may have become a dict with the
            names "0", "1", ….
        params: the parameters, whose structure the moments get.
    """
    tree = plain(params)
    _, treedef = flatten(tree)
    found, _ = jax.tree.flatten_with_path(tree, is_leaf=is_none)
    paths = [
        [jax.tree_util.keystr((k,), simple=True) for k in path] for path, _ in found
    ]

    def made(x: Any) -> Any:
        if not is_node(x) or hasattr(x, "_fields"):
            return x
        names, values = children(x)
        by_name = {str(name): value for name, value in zip(names, values, strict=True)}
        kind = _kind(by_name, paths)
        if kind is not None:
            return _state(kind, by_name, paths, treedef, made)
        for around, fields in _AROUND.items():
            if set(by_name) == fields:
                new = {n: made(value) for n, value in by_name.items()}
                return _class(around, tuple(new))(**new)
        if not isinstance(x, Mapping) or (by_name and all(map(str.isdigit, by_name))):
            return tuple(map(made, values))
        return {name: made(value) for name, value in by_name.items()}

    return made(saved)


def _kind(held: Mapping[str, Any], paths: Sequence[list[str]]) -> str | None:
    """Return the name of the state whose fields a dict has."""
    fitting = [n for n, row in states.FIELDS.items() if set(row) == set(held)]
    if "ScaleBySM3State" in fitting:
        lists = any(is_node(x) and not is_empty(x) for x in _leaves(held["mu"], paths))
        return "ScaleBySM3State" if lists else fitting[0]
    return fitting[0] if fitting else None


def _state(
    kind: str, held: Mapping[str, Any], paths: Sequence[list[str]], treedef: Any, made
) -> Any:
    new = {}
    for name, field in states.FIELDS[kind].items():
        value = held[name]
        if isinstance(field, states.Field) and not field.shared:
            value = treedef.unflatten([_slot(x) for x in _leaves(value, paths)])
        elif name == states.BASE:
            value = made(value)
        new[name] = value
    return _class(kind, tuple(new))(**new)


def _slot(x: Any) -> Any:
    """Return what is kept of a leaf: an array, a list of them, None for nothing."""
    if not is_node(x):
        return x
    return None if is_empty(x) else children(x)[1]


def _leaves(tree: Any, paths: Sequence[list[str]]) -> list[Any]:
    """Return what stands in the place of each parameter, None where nothing does."""
    found = []
    for path in paths:
        x = tree
        for name in path:
            names, values = children(x) if is_node(x) else ((), [])
            by_name = {str(n): v for n, v in zip(names, values, strict=True)}
            x = by_name.get(name)
        found.append(x)
    return found


@functools.cache
def _class(name: str, fields: tuple[str, ...]) -> type:
    """Return a class that stands for one of Optax, not all of which are public."""
    return collections.namedtuple(name, fields, module="optax")
