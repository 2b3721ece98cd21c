"""Leaves of trees with the structure of the parameters: their order and paths."""

from typing import Any

import jax

from .. import errors
from .paths import paths
from .slot_trees import FORM, column_of
from .slots import join
from .state import Slot


def place(tree: Any, i: int) -> str:
    return paths(tree)[i]


def column(name: str, treedef: Any, tree: Any, updates: Any) -> list:
    """Return the leaves of `tree` in the order of the updates."""
    try:
        return column_of(tree, updates)
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
    if len(parts) > 1:
        kept = set(trees) if isinstance(trees, dict) else set()
        if kept - {FORM} != set(parts):
            raise errors.AdamxError(
                f"update: the slot `{name}` must be kept as {slot.codec!r} keeps it, "
                f"in {', '.join(parts)}, got {type(trees).__name__}. Bring the state "
                f"over by adamx.restore(tx, state, params)."
            )
        check_form(name, slot, trees)
    return join(slot, trees, lambda tree: column(name, treedef, tree, updates))


def check_form(name: str, slot: Slot, trees: Any) -> None:
    """Raise an error if a slot was stored by a codec that is read otherwise."""
    given = trees.get(FORM)  # none in a state that was saved long ago
    if given is not None and set(given) != {slot.codec.form()}:
        raise errors.AdamxError(
            f"update: the slot `{name}` must have been stored in the form in which it "
            f"is read, {slot.codec.form()}, got {', '.join(given)}. Bring the state "
            f"over by adamx.restore(tx, state, params)."
        )
