"""Evenly spaced elements of every leaf, on which elementwise rules run alone.

A rule of the scope "element" computes each element by itself, so that on some elements
of the gradient, of the slots and of the parameter it returns those of the update.
"""

from typing import Any

import jax

from ..engine.masks import Mask
from ..engine.paths import flatten, leaves_by_path
from ..engine.rule import Rule
from ..engine.slot_trees import column_of
from ..engine.slots import is_like
from ..engine.state import State
from ..engine.value import restored
from ..parts.clipping import ClipByGlobalNorm
from ..wrappers.around import Around, map_inner
from ..wrappers.grouped import Groups
from ..wrappers.tunable import Tunable
from .rules import KnownNorm, core, every_link, has_foreign, inside, map_rules


class Resolved(Mask):
    """What a mask has said of the whole leaves, by path."""

    answers: tuple[tuple[str, bool], ...]

    def resolve(self, tree: Any) -> list[bool]:
        known = dict(self.answers)
        return [known.get(path, False) for path, _ in leaves_by_path(tree)]


def can_be_thinned(tx: Any) -> bool:
    """Return whether each element of the update depends on its own elements only.

    A clip by the global norm may be in front, whose norm is known.
    """
    if has_foreign(tx) or any(slot.codec is not None for slot in tx.slots().values()):
        return False
    if isinstance(tx, Groups) and any(inside(tx)):
        return False
    for i, link in enumerate(every_link(tx)):
        known = i == 0 and _first(tx) is not None
        if not known and link._widest_scope() != "element":
            return False
        if link.needs() - {"param"}:
            return False
        if not all(slot.shared or is_like(slot) for slot in link.slots().values()):
            return False
    return True


def _first(tx: Any) -> Rule | None:
    """Return the clip by the global norm that is given the gradient of all leaves."""
    if isinstance(tx, Around):
        return _first(tx.inner)
    first = tx.clip if isinstance(tx, Groups) else next(every_link(tx), None)
    return first if isinstance(first, ClipByGlobalNorm) else None


def prepared(tx: Any, updates: Any, params: Any, norm: Any) -> Any:
    """Return the transformation for some elements of these leaves.

    Masks answer as for the whole leaves, and `norm` is that of the whole gradient.
    """
    clip, found = _first(tx), []
    leaves = [path for path, _ in leaves_by_path(updates)]

    def bound(mask: Mask) -> Mask:
        return Resolved(tuple(zip(leaves, mask.resolve(params), strict=True)))

    def one(rule: Rule) -> Rule:
        if clip is not None and not found and core(rule)[0] == clip:
            found.append(rule)
            return restored(KnownNorm, {"part": clip, "norm": norm})
        return rule._with_masks(bound)

    def masked(tx: Any) -> Any:
        if isinstance(tx, Groups):
            each = tuple((bound(mask), inner) for mask, inner in tx.groups)
            return restored(Groups, {"groups": each, "clip": tx.clip})
        return tx if isinstance(tx, Rule) else map_inner(tx, masked)

    return map_rules(masked(tx), one)


def stride_for(sizes: list[int], elements: int | None) -> int:
    """Return the distance of the elements that are taken of all leaves, 1 for all."""
    return 1 if elements is None else max(1, -(-sum(sizes) // elements))


def thinned(x: Any, stride: int) -> Any:
    """Return a leaf with about one in `stride` elements, evenly along its axes."""
    steps, left = [1] * x.ndim, stride
    axes = sorted(range(x.ndim), key=lambda i: x.shape[i])
    for done, i in enumerate(axes):
        each = round(left ** (1 / (x.ndim - done)))
        # odd: a power of two would meet the same place of every row or block
        each = min(each | 1 if each > 1 else 1, x.shape[i])
        steps[i], left = each, max(1.0, left / each)
    return x[tuple(slice(None, None, each) for each in steps)]


def thinned_tree(x: Any, stride: int) -> Any:
    return jax.tree.map(lambda leaf: thinned(leaf, stride), x)


def thinned_state(tx: Any, state: Any, params: Any, stride: int) -> Any:
    """Return a state with the elements of its slots that `thinned` takes of the leaves.

    It is that of a transformation that `can_be_thinned`.
    """
    if isinstance(tx, Tunable):
        inner = thinned_state(tx.inner, state.inner, params, stride)
        return state._replace(inner=inner)
    shapes = [None if p is None else p.shape for p in flatten(params)[0]]

    def cut(slot: Any, kept: Any) -> Any:
        if slot.shared:
            return kept
        column = column_of(kept, params)
        new = [
            thinned(x, stride) if hasattr(x, "shape") and x.shape == shape else x
            for x, shape in zip(column, shapes, strict=True)
        ]
        leaves = [leaf for x in new for leaf in flatten(x)[0]]
        return flatten(kept)[1].unflatten(leaves)

    declared = tx.slots()
    slots = {name: cut(declared[name], kept) for name, kept in state.slots.items()}
    inner = dict(state.inner)
    for name, one in inside(tx):
        inner[name] = thinned_state(one, inner[name], params, stride)
    return State(state.count, slots, inner)
