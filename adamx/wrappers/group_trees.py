"""Trees of which each leaf belongs to a group: apart, and together again.

What belongs to a leaf stands where its box of Flax is, if there is one: a slot may be
in the box or not. So the places of a tree are its leaves and its boxes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import errors
from ..engine.paths import flatten, is_box, paths
from ..engine.slot_trees import FORM, is_placeholder
from ..engine.state import ABSENT, Slot


class Layout(NamedTuple):
    """Which group has what is in each place of a tree.

    Attributes:
        outer: the structure of the tree, with boxes as leaves.
        by_place: the number of the group for each place; None for a `None`.
        by_leaf: the same for each leaf.
    """

    outer: Any
    by_place: list[int | None]
    by_leaf: list[int | None]

    def only(self, groups: frozenset[int], tree: Any) -> Any:
        """Return a tree with `None` in the places of other groups."""
        return self.put(groups, tree, None)

    def put(self, groups: frozenset[int], tree: Any, into: Any) -> Any:
        """Return `into` with what `tree` has for these groups; None for no tree."""
        new = self.outer.flatten_up_to(tree)
        old = [None] * len(new) if into is None else self.outer.flatten_up_to(into)
        pairs = zip(self.by_place, new, old, strict=True)
        return self.outer.unflatten([a if g in groups else b for g, a, b in pairs])

    def zeros(self, updates: Any, dtypes: Sequence[Any]) -> Any:
        """Return zeros for every update."""
        leaves, treedef = flatten(updates)
        zeros = [
            x if x is None else jnp.zeros_like(x, dtype=dtype)
            for x, dtype in zip(leaves, dtypes, strict=True)
        ]
        return treedef.unflatten(zeros)


def _is_place(x: Any) -> bool:
    return x is None or is_box(x)


def layout_of(tree: Any, by_leaf: list[int | None]) -> Layout:
    """Return the layout of a tree, from the number of the group of each leaf.

    Raises:
        ValueError: the leaves of one box are in two groups.
    """
    places, outer = jax.tree.flatten(tree, is_leaf=_is_place)
    by_place: list[int | None] = []
    i = 0
    for place in places:
        n = len(flatten(place)[0]) if is_box(place) else 1
        own = {g for g in by_leaf[i : i + n] if g is not None}
        if len(own) > 1:
            raise errors.AdamxError(
                f"groups: the leaves in one box of Flax must be in one group, got two "
                f"for `{paths(tree)[i]}` and its neighbours. Widen one of the patterns."
            )
        by_place.append(own.pop() if own else None)
        i += n
    return Layout(outer, by_place, by_leaf)


def each_tree(slot: Slot, kept: Any, change: Callable[[Any], Any]) -> Any:
    """Return what is kept of a slot with `change(tree)` for each tree of it."""
    if slot.codec is None or slot.codec.parts == ("",):
        return change(kept)
    return {part: x if part == FORM else change(x) for part, x in kept.items()}


def merged(each: list[tuple[Any, Any, Any]], laid: Layout | None, live: Any) -> Any:
    """Return one slot of the state for what several members keep of it.

    Args:
        each: for each member the groups that it has, the slot, and what it keeps.
        laid: the layout; None where `optax.tree_map_params` asks for the structure.
        live: all groups, the frozen ones included.
    """
    _, slot, first = each[0]
    if slot.codec is None or slot.codec.parts == ("",):
        return _merged([(own, kept) for own, _, kept in each], laid, live)
    return {
        part: x
        if part == FORM
        else _merged([(own, kept[part]) for own, _, kept in each], laid, live)
        for part, x in first.items()
    }


def _merged(
    each: list[tuple[frozenset[int], Any]], laid: Layout | None, live: Any
) -> Any:
    if laid is None:
        known = frozenset().union(*(own for own, _ in each))
        whole = known == live and all(is_placeholder(kept) for _, kept in each)
        return each[0][1] if whole else False
    columns = [(own, laid.outer.flatten_up_to(kept)) for own, kept in each]
    found = []
    for i, g in enumerate(laid.by_place):
        here = [column[i] for own, column in columns if g in own]
        found.append(None if g is None else here[0] if here else ABSENT)
    return laid.outer.unflatten(found)
