"""Leaves of trees with the structure of the parameters: their order and paths."""

from typing import Any

import jax

from .. import errors
from .masks import path_of
from .slots import join
from .state import Slot


def _is_none(x: Any) -> bool:
    return x is None


def flatten(tree: Any) -> tuple[list, Any]:
    """Flatten a tree and keep `None` as a leaf, which stands for a frozen leaf."""
    return jax.tree.flatten(tree, is_leaf=_is_none)


def places(tree: Any) -> list[str]:
    """Return the paths of the leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_none)[0]
    return [path_of(keys) or "the only leaf" for keys, _ in leaves]


def place(tree: Any, i: int) -> str:
    return places(tree)[i]


def column(name: str, treedef: Any, tree: Any, updates: Any) -> list:
    """Return the leaves of `tree` in the order of the updates."""
    try:
        return treedef.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError) as error:
        there = "params" if name == "params" else f"the slot `{name}`"
        raise errors.AdamxError(
            f"update: {there} must have the structure of the updates, got "
            f"{jax.tree.structure(tree)} where the updates have "
            f"{jax.tree.structure(updates)} ({error}). Pass the gradients of the same "
            f"parameters that `init` was given."
        ) from None


def slot_column(name: str, slot: Slot, treedef: Any, trees: Any, updates: Any) -> list:
    """Return a slot's leaves in the order of the updates, by codec part if several."""
    parts = () if slot.codec is None else slot.codec.parts
    if len(parts) > 1 and not (isinstance(trees, dict) and trees.keys() == set(parts)):
        raise errors.AdamxError(
            f"update: the slot `{name}` must be kept as {slot.codec!r} keeps it, in "
            f"{', '.join(parts)}, got {type(trees).__name__}. Pass the state that "
            f"`init` of this transformation returned."
        )
    return join(slot, trees, lambda tree: column(name, treedef, tree, updates))
