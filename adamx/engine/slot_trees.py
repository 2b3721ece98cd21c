"""The trees of a state: a slot of every leaf, beside the parameters and their boxes.

A slot is a tree like the parameters, with two exceptions. Where a leaf does not have
the slot there is `Absent()`, a node without leaves. And where what is kept is not like
the parameter (row sums, bases, scales of blocks), it stands outside Flax's box around
the parameter: the metadata of the box, such as its sharding, are not those of the slot.

Where a codec keeps several arrays of a slot, each is such a tree, and beside them is
the form in which they were stored. It is the key of a dict, so that a state of another
form has another structure: under `jit`, too, and in every kind of checkpoint. The
value, a version, is there since a dict without leaves is not saved by all of them.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .paths import _children, flatten, is_box
from .roles import axes_of, is_alike
from .slots import begin, split
from .state import Absent, Slot

FORM = "form"
"""Beside the parts of a codec the state keeps its form: {text: FORM_VERSION}."""
FORM_VERSION = 1


def is_placeholder(params: Any) -> bool:
    """Return whether `optax.tree_map_params` asks where the parameters are."""
    kind = type(params)
    return kind.__name__ == "_ParamsPlaceholder" and kind.__module__.startswith("optax")


def start_tree(
    slot: Slot, params: Any, selected: Sequence[frozenset], by_leaf: Sequence[str]
) -> Any:
    """Return the first value of a slot as it is in the state.

    It is a tree, or a dict of trees by codec part.
    """
    leaves = flatten(params)[0]
    given = (leaves, selected, by_leaf)
    columns = split(slot, list(map(functools.partial(begin, slot), *given)))
    if isinstance(columns, dict):
        trees = {
            part: _placed(slot, part, params, column, *given[1:])
            for part, column in columns.items()
        }
        return trees | {FORM: {slot.codec.form(): jnp.uint8(FORM_VERSION)}}
    return _placed(slot, "", params, columns, *given[1:])


def _placed(
    slot: Slot,
    part: str,
    params: Any,
    column: list,
    selected: Sequence[frozenset],
    by_leaf: Sequence[str],
) -> Any:
    """Return a column as a tree like the parameters, without the boxes of others."""
    if is_placeholder(params):
        return params if is_alike(slot, part) else False  # a leaf: no such tree
    boxes, outer = jax.tree.flatten(params, is_leaf=_is_box_or_none)
    if not any(map(is_box, boxes)):
        return flatten(params)[1].unflatten(column)
    placed, i = [], 0
    for box in boxes:
        if not is_box(box):
            placed.append(column[i])
            i += 1
            continue
        inside, inner = flatten(box)
        here = slice(i, i := i + len(inside))
        each = zip(column[here], inside, selected[here], by_leaf[here], strict=True)
        alike = all(
            p is None or _is_alike(slot, part, x, p, chosen, path)
            for x, p, chosen, path in each
        )
        if not alike:
            inner = _content(box)
        placed.append(inner.unflatten(column[here]))
    return outer.unflatten(placed)


def _is_alike(
    slot: Slot, part: str, x: Any, p: Any, chosen: frozenset, path: str
) -> bool:
    """Return whether what is kept has the axes of its parameter, and their lengths."""
    axes = axes_of(slot, part, x, p, chosen, path)
    return axes == tuple(range(len(p.shape))) and x.shape == p.shape


def column_of(tree: Any, updates: Any) -> list:
    """Return the leaves of a slot in the order of the updates, without boxes.

    Raises:
        ValueError: the tree is not like the updates.
    """
    boxes, outer = jax.tree.flatten(updates, is_leaf=_is_box_or_none)
    column = []
    for box, kept in zip(boxes, outer.flatten_up_to(tree), strict=True):
        if is_box(box):
            form = flatten(box)[1] if is_box(kept) else _content(box)
            column += form.flatten_up_to(kept)
        else:
            column += flatten(kept)[0] if is_box(kept) else [kept]
    return column


def with_columns(slot: Slot, trees: Any, column: list) -> Any:
    """Return what the state holds of a slot, with the leaves of another column."""
    columns = split(slot, column)
    if not isinstance(columns, dict):
        return _with_column(trees, columns)
    new = {part: _with_column(trees[part], each) for part, each in columns.items()}
    return trees | new


def _with_column(tree: Any, column: list) -> Any:
    """Return a slot's tree, its structure unchanged, with other leaves."""
    kept = [x for x in column if not isinstance(x, Absent)]
    return flatten(tree)[1].unflatten(kept)


def _is_box_or_none(x: Any) -> bool:
    return x is None or is_box(x)


def _content(box: Any) -> Any:
    """Return the structure of what is in a box."""
    contents = [content for _, content in _children(box)[0]]
    return flatten(contents[0] if len(contents) == 1 else contents)[1]
