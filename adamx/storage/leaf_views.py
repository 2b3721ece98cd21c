"""What the rules of a transformation say of each leaf, for `matrix_plan`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from ..engine.masks import Mask, OfSlice
from ..engine.paths import leaves_by_path
from ..engine.value import show
from ..parts.layer_axes import HIDDEN, TWO, TWO_AXES, axes_by_name
from ..parts.learning_rate import LearningRate, Negate
from ..parts.matrix_views import MatrixView, Named, SeesMatrices
from ..parts.weight_decay import Decay
from ..wrappers.grouped import Rest
from ..wrappers.stacked import Stacked
from .treatment import frozen, name_of, walk


class Found(NamedTuple):
    """A rule where it occurs: one object may occur at several places.

    Attributes:
        rule: the rule.
        masks: those around it.
        inside: the places of the rules of which it is made, which follow its own.
    """

    rule: Any
    masks: tuple[Mask, ...]
    inside: range


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
        self.unknown: list[Any] = []
        self.found = [
            Found(rule, masks, range(i + 1, i + sum(1 for _ in walk(rule, (), []))))
            for i, (rule, masks) in enumerate(walk(tx, (), self.unknown))
        ]
        self.params = params
        self.leaves = leaves_by_path(params)
        self._known: dict[Mask, list[bool]] = {}
        self.asked = list(self._outermost())
        self.views = self._asked()
        self._frozen = list(frozen(tx))
        self._others = list(self._candidates())

    def _outermost(self) -> Iterator[int]:
        """Yield the places of the rules that are asked.

        A rule inside another one that speaks for it is not.
        """
        spoken_for: set[int] = set()
        for place, (rule, _, inside) in enumerate(self.found):
            if place not in spoken_for and isinstance(rule, SeesMatrices):
                spoken_for |= set(inside)
                yield place

    def _asked(self) -> list[list[MatrixView]]:
        """Return for each leaf how those rules see it that select it."""
        each: list[list[MatrixView]] = [[] for _ in self.leaves]
        for place in self.asked:
            rule, masks, _ = self.found[place]
            chosen, named = self._selected(masks), self._named(rule)
            axes, by = self._stacked_axes(place), _SELECTED if masks else TWO
            whole: Any = rule._placed(_Whole(), frozenset())
            for i, (_, leaf) in enumerate(self.leaves):
                if leaf is None or not chosen[i]:
                    continue
                axis, shape = axes[i], tuple(leaf.shape)
                if axis is None:
                    each[i].append(_view(whole, leaf, named[i], by))
                    continue
                layer = shape[:axis] + shape[axis + 1 :]
                like = jax.ShapeDtypeStruct(layer, leaf.dtype)
                view = _view(whole, like, named[i], by)
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

    def _named(self, rule: Any) -> list[Named]:
        """Return what `axes` of a rule says of each leaf, and why."""
        explained = getattr(getattr(rule, "axes", None), "explained", None)
        if explained is None:
            return [(None, "")] * len(self.leaves)
        return explained(self.params)

    def _stacked_axes(self, place: int) -> list[int | None]:
        """Return for each leaf over which axis `stacked` maps the rule at a place."""
        each: list[int | None] = [None] * len(self.leaves)
        for around, _, inside in self.found:
            if isinstance(around, Stacked) and place in inside:
                for i, yes in enumerate(self._selected((around.mask,))):
                    n = len(self.leaves[i][1].shape) if yes else 1
                    each[i] = around.axis % n if yes else each[i]
        return each

    def left_out(self, i: int) -> str:
        """Say why no rule that sees matrices selects the i-th leaf."""
        if self._is_frozen(i):
            return "its group has no optimizer"
        masks = (self.found[place].masks for place in self.asked)
        out = (self._first_without(i, each) for each in masks)
        said = (_why(mask, i, self.params) for mask in out if mask is not None)
        return "; ".join(dict.fromkeys(said)) or "no rule of matrices selects it"

    def _first_without(self, i: int, masks: tuple[Mask, ...]) -> Mask | None:
        """Return the first mask that does not select the i-th leaf."""
        return next((m for m in masks if not self._selected((m,))[i]), None)

    def _is_frozen(self, i: int) -> bool:
        return any(self._selected((mask,))[i] for mask in self._frozen)

    def other_rules(self, i: int) -> str:
        """Name what computes the direction of a leaf that is not seen as matrices.

        Those rules are named that select no leaf which is; all, if there is none.
        """
        if self._is_frozen(i):
            return "frozen"
        here = [(name, own) for name, own, chosen in self._others if chosen[i]]
        wanted = any(own for _, own in here)
        names = dict.fromkeys(name for name, own in here if own or not wanted)
        return ", ".join(names) or "unchanged"

    def _candidates(self) -> Iterator[tuple[str, bool, list[bool]]]:
        """Yield the name of each rule that may compute a direction, and its leaves.

        Between them is whether it selects none that is seen as matrices.
        """
        within: set[int] = set()
        for place, (rule, masks, inside) in enumerate(self.found):
            ends = isinstance(rule, Decay | LearningRate | Negate)
            if place in within or ends or type(rule).__name__ in _AROUND:
                continue
            within |= set(inside)
            chosen = self._selected(masks)
            pairs = zip(chosen, self.views, strict=True)
            adam = {"mu", "nu"} <= rule.slots().keys()
            own = not any(yes and seen for yes, seen in pairs)
            yield "Adam" if adam else name_of(rule), own, chosen


_AROUND = ("Stored", "Stacked", "Masked", "Fused", "RuleSequence")
"""The rules that only pass a leaf on to their parts."""


_SELECTED = f"{TWO}, selected by the mask"


def _view(rule: Any, leaf: Any, named: Named, by: str) -> MatrixView:
    """Return how a rule sees a leaf that is selected.

    `by` is the reason where one of two axes is a matrix though `named` says it is none.
    """
    axes, why = named
    if axes is None and why and len(leaf.shape) == 2:
        view = rule.matrix_view(leaf, (None, by))
        if view.block:
            return view
    return rule.matrix_view(leaf, named)


def _why(mask: Mask, i: int, tree: Any) -> str:
    """Say why a mask does not select the i-th leaf."""
    if isinstance(mask, OfSlice):
        return _why(mask.mask, i, mask.slices(tree))
    if isinstance(mask, Rest):
        groups = [m for m in mask.masks if m.resolve(tree)[i]]
        return f"it is in the group {', '.join(map(show, groups))}"
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
