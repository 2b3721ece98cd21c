"""What the rules of a transformation say of each leaf, for `matrix_plan`."""

from collections.abc import Iterator
from typing import Any

import jax

from ..engine.masks import Mask, OfSlice
from ..engine.paths import leaves_by_path
from ..engine.value import show
from ..parts.layer_axes import HIDDEN, TWO_AXES, axes_by_name
from ..parts.learning_rate import LearningRate, Negate
from ..parts.matrix_views import MatrixView, SeesMatrices
from ..parts.weight_decay import Decay
from ..wrappers.stacked import Stacked
from .treatment import frozen, name_of, walk

Found = list[tuple[Any, tuple[Mask, ...]]]
"""Rules, each with the masks around it."""


class _Whole:
    """Place a rule on the whole of a leaf, also one that is made for `shard_map`."""

    def of(self, axis_name: Any) -> None:
        return None

    def without(self, axis: int) -> "_Whole":
        return self


class LeafViews:
    """Ask the rules of a transformation how they see each leaf of a tree.

    Args:
        tx: the transformation.
        params: the parameters.
    """

    def __init__(self, tx: Any, params: Any) -> None:
        unknown: list[str] = []
        self.found = list(walk(tx, (), unknown))
        self.unknown = tuple(dict.fromkeys(unknown))
        self.params = params
        self.leaves = leaves_by_path(params)
        self._known: dict[Mask, list[bool]] = {}
        self.asked: Found = [x for x in self.found if isinstance(x[0], SeesMatrices)]
        self.views = self._asked()
        self._frozen = [mask for mask in frozen(tx)]
        self._others = list(self._candidates())

    def _asked(self) -> list[list[MatrixView]]:
        """Return for each leaf how those rules see it that select it.

        A rule inside another one that speaks for it is not asked.
        """
        each: list[list[MatrixView]] = [[] for _ in self.leaves]
        spoken_for: set[int] = set()
        for rule, masks in self.asked:
            if id(rule) in spoken_for:
                continue
            spoken_for |= _inside(rule)
            chosen, named = self._selected(masks), self._named(rule)
            axes = self._stacked_axes(rule)
            whole: Any = rule._placed(_Whole(), frozenset())
            for i, (_, leaf) in enumerate(self.leaves):
                if leaf is None or not chosen[i]:
                    continue
                axis, shape = axes[i], tuple(leaf.shape)
                if axis is None:
                    each[i].append(whole.matrix_view(leaf, named[i]))
                    continue
                layer = shape[:axis] + shape[axis + 1 :]
                like = jax.ShapeDtypeStruct(layer, leaf.dtype)
                view = whole.matrix_view(like, named[i])
                why, number = f"{view.why}; stacked", view.number * shape[axis]
                each[i].append(view._replace(why=why, number=number))
        return each

    def _selected(self, masks: tuple[Mask, ...]) -> list[bool]:
        """Return for each leaf whether all masks select it."""
        for mask in masks:
            if mask not in self._known:
                self._known[mask] = mask.resolve(self.params)
        answers = (self._known[mask] for mask in masks)
        return [all(x) for x in zip([True] * len(self.leaves), *answers, strict=True)]

    def _named(self, rule: Any) -> list[tuple[Any, str]]:
        """Return what `axes` of a rule says of each leaf, and why."""
        explained = getattr(getattr(rule, "axes", None), "explained", None)
        if explained is None:
            return [(None, "")] * len(self.leaves)
        return explained(self.params)

    def _stacked_axes(self, rule: Any) -> list[int | None]:
        """Return for each leaf over which axis `stacked` maps the rule."""
        each: list[int | None] = [None] * len(self.leaves)
        for around, _ in self.found:
            if isinstance(around, Stacked) and id(rule) in _inside(around.part):
                for i, yes in enumerate(self._selected((around.mask,))):
                    n = len(self.leaves[i][1].shape) if yes else 1
                    each[i] = around.axis % n if yes else each[i]
        return each

    def left_out(self, i: int) -> str:
        """Say why no rule that sees matrices selects the i-th leaf."""
        said = []
        for _, masks in self.asked:
            out = next(m for m in masks if not self._selected((m,))[i])
            said.append(_why(out, i, self.params))
        return "; ".join(dict.fromkeys(said))

    def other_rules(self, i: int) -> str:
        """Name what computes the direction of a leaf that is not seen as matrices.

        Those rules are named that select no leaf which is; all, if there is none.
        """
        if any(self._selected((mask,))[i] for mask in self._frozen):
            return "frozen"
        here = [(name, own) for name, own, chosen in self._others if chosen[i]]
        wanted = any(own for _, own in here)
        names = dict.fromkeys(name for name, own in here if own or not wanted)
        return ", ".join(names) or "unchanged"

    def _candidates(self) -> Iterator[tuple[str, bool, list[bool]]]:
        """Yield the name of each rule that may compute a direction, and its leaves.

        Between them is whether it selects none that is seen as matrices.
        """
        inside: set[int] = set()
        for rule, masks in self.found:
            ends = isinstance(rule, Decay | LearningRate | Negate)
            if id(rule) in inside or ends or type(rule).__name__ in _AROUND:
                continue
            inside |= _inside(rule)
            chosen = self._selected(masks)
            pairs = zip(chosen, self.views, strict=True)
            adam = {"mu", "nu"} <= rule.slots().keys()
            own = not any(yes and seen for yes, seen in pairs)
            yield "Adam" if adam else name_of(rule), own, chosen


_AROUND = ("Stored", "Stacked", "Masked", "Fused", "RuleSequence")
"""The rules that only pass a leaf on to their parts."""


def _inside(rule: Any) -> set[int]:
    """Return the identities of a rule and of those of which it is made."""
    return {id(part) for part, _ in walk(rule, (), [])}


def _why(mask: Mask, i: int, tree: Any) -> str:
    """Say why a mask does not select the i-th leaf."""
    if isinstance(mask, OfSlice):
        return _why(mask.mask, i, mask.slices(tree))
    explained = getattr(mask, "explained", None)
    if explained is not None:
        return explained(tree)[i][1]
    path, leaf = leaves_by_path(tree)[i]
    if mask in (HIDDEN, TWO_AXES):
        axes, why = axes_by_name(path, leaf)
        if axes is None:
            return why
        return f"{len(leaf.shape)} axes: {show(mask)} selects those of two"
    return f"the mask {show(mask)} leaves it out"
