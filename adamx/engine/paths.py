"""Leaves of trees by path, without the boxes that Flax and Haliax put around arrays.

A path is a text such as `layers/0/kernel`: the keys of dicts, the indices of lists and
the attributes of NamedTuples, dataclasses and modules. Flax keeps parameters in boxes
(`nnx.Variable`, linen's `Partitioned`), and its trainers pass the parameters to `init`
with them and to `update` without; Haliax names their axes (`NamedArray`). A box adds
nothing to a path.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

# the classes of boxes, recognized by name so that their packages need not be installed
_BOXES = {
    "flax": frozenset({"Variable", "VariableState", "AxisMetadata"}),
    "haliax": frozenset({"NamedArray"}),
}


def is_none(x: Any) -> bool:
    return x is None


def is_box(x: Any) -> bool:
    """Return whether `x` is a box of Flax or Haliax around an array or a tree."""
    return _is_box_class(type(x))


@functools.cache
def _is_box_class(kind: type) -> bool:
    return any(
        cls.__name__ in _BOXES.get(cls.__module__.split(".")[0], ())
        for cls in kind.__mro__
    )


def _children(x: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Flatten one level of a node: pairs of a key and a child."""
    pairs, treedef = jax.tree_util.tree_flatten_with_path(x, lambda y: y is not x)
    return [(keys[0], child) for keys, child in pairs], treedef


def flatten(tree: Any) -> tuple[list, Any]:
    """Flatten a tree and keep `None` as a leaf, which stands for a frozen leaf."""
    return jax.tree.flatten(tree, is_leaf=is_none)


def path_of(keys: Any) -> str:
    """Return a leaf's path as text, such as `layers/0/kernel`."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def leaves_by_path(
    tree: Any, also: Callable[[Any], bool] = is_none, before: tuple = ()
) -> list[tuple[str, Any]]:
    """Return the path and the leaf of every leaf, in order.

    `None` counts as a leaf, and the nodes for which `also(node)` is true. `before` are
    the keys that lead to `tree`.
    """

    def is_leaf(x: Any) -> bool:
        return x is None or is_box(x) or also(x)

    found: list[tuple[str, Any]] = []
    for keys, leaf in jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]:
        keys = (*before, *keys)
        if is_box(leaf):
            for _, content in _children(leaf)[0]:
                found += leaves_by_path(content, also, keys)
        else:
            found.append((path_of(keys), leaf))
    return found


def paths(tree: Any) -> list[str]:
    """Return the paths of the leaves, for messages and tables."""
    return [path or "the only leaf" for path, _ in leaves_by_path(tree)]


def plain(tree: Any) -> Any:
    """Return a tree without boxes, with dicts instead of other kinds of mappings.

    Two trees of the same parameters then have one structure, whichever of the two a
    trainer has passed.
    """
    if isinstance(tree, Mapping):
        return {key: plain(child) for key, child in tree.items()}
    if tree is None or jax.tree_util.all_leaves([tree]):
        return tree
    pairs, treedef = _children(tree)
    if is_box(tree):
        return plain(pairs[0][1]) if len(pairs) == 1 else [plain(x) for _, x in pairs]
    return treedef.unflatten([plain(child) for _, child in pairs])
