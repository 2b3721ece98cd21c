"""Where the pieces of a leaf are inside `shard_map`, and the rule that it is given.

A rule says by `axis_name` over which mesh axes leaves may be split. Here that is
replaced, leaf by leaf, by how the leaf is split: over the axes along which it varies,
or, with `adamx.in_shard_map`, as its spec says. A leaf that all devices have is not
split, so that its sums count it once.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import errors
from ..numerics.splits import Split, across, names_of, shards, split_of, varying
from .slots import is_like
from .state import Labelled, Slot


class Place(NamedTuple):
    """How one leaf is split.

    Attributes:
        split: over which mesh axes; with specs, which axis of the leaf by which.
        given: whether specs say so. Otherwise only a rule with `axis_name` is told.
    """

    split: Split
    given: bool

    def of(self, axis_name: Any) -> Split | None:
        """Return what a rule has in the place of its `axis_name`."""
        if self.given:
            return self.split
        if axis_name is None:
            return None
        kept = (n for n in names_of(axis_name) if n in self.split.names)
        return Split(tuple(kept))

    def without(self, axis: int) -> "Place":
        """Return the place of a slice across an axis of the leaf."""
        return self._replace(split=self.split.without(axis))


def place_of(
    rule: Any, chosen: frozenset, arrays: Sequence[Any], where: Callable[[], str]
) -> Place | None:
    """Return the place of a leaf, None where no rule asks for it.

    `chosen` are the masks that select the leaf, `arrays` what there is of it.
    """
    for mask in chosen:
        if isinstance(mask, Labelled) and isinstance(mask.label, Split):
            _check_spec(mask.label, arrays, where)
            return Place(mask.label, True)
    names = rule._axis_names()
    return Place(split_of(names, arrays, where), False) if names else None


def _check_spec(split: Split, arrays: Sequence[Any], where: Callable[[], str]) -> None:
    """Raise an error for a spec that the shard_map around it contradicts."""
    for name in split.names:
        try:
            shards(name)
        except errors.AdamxError:
            raise errors.AdamxError(
                f"in_shard_map: the spec of `{where()}` must name mesh axes of the "
                f"shard_map around it, got {name!r}, which is none. Outside "
                f"jax.shard_map use the transformation itself: its state is the same."
            ) from None
    for x in arrays:
        more = sorted(varying(x) - set(split.names))
        if more:
            raise errors.AdamxError(
                f"in_shard_map: the spec of `{where()}` must name every mesh axis over "
                f"which it is split, got {split.names} for a leaf that varies over "
                f"{more[0]!r}. Pass the specs that jax.shard_map has for the "
                f"parameters, and gradients that are reduced over the other axes."
            )


class Placed:
    """A rule and its slots, for each place of a leaf."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule
        self._slots = rule.slots()
        self._known: dict[Any, tuple[Any, dict[str, Slot]]] = {}

    def rule(self, place: Place | None, chosen: frozenset) -> Any:
        """Return the rule for a leaf at this place, that these masks select."""
        return self._at(place, chosen)[0]

    def slots(self, place: Place | None, chosen: frozenset) -> dict[str, Slot]:
        """Return the slots for a leaf at this place."""
        return self._at(place, chosen)[1]

    def _at(self, place: Place | None, chosen: frozenset) -> Any:
        if place is None:
            return self._rule, self._slots
        key = place, chosen
        if key not in self._known:
            rule = self._rule._placed(place, chosen)
            declared = {n: _slot_at(slot, place) for n, slot in rule.slots().items()}
            self._known[key] = rule, declared
        return self._known[key]


def _slot_at(slot: Slot, place: Place) -> Slot:
    """Return a slot whose codec knows how the slot is split, if it is like the leaf."""
    if slot.codec is None or not (is_like(slot) and place.given):
        return slot
    codec = slot.codec.placed(place.split)
    return dataclasses.replace(slot, codec=codec, split=place.split)


def totals(rule: Any, parts: Sequence[tuple[Place | None, dict]]) -> dict[str, Any]:
    """Add up the sums of all leaves, each over the mesh axes that split the leaf.

    One sum over devices for all leaves that are split alike.
    """
    groups: dict[tuple[str, ...], list[dict]] = {}
    for place, part in parts:
        split = None if place is None else place.of(rule._sum_axis_name())
        groups.setdefault(names_of(split), []).append(part)
    done: dict[str, Any] = {}
    for axes, group in groups.items():
        for name in sorted({name for part in group for name in part}):
            total = sum(part[name] for part in group if name in part)
            total = across(total, axes)  # pyright: ignore[reportArgumentType]
            done[name] = done[name] + total if name in done else total
    return done
