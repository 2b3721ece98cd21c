"""Running another optimizer on each group of leaves, with one state and one count."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from .. import errors
from ..engine import hyperparams, tree
from ..engine.chain import Chain, External, chain
from ..engine.leaves import column
from ..engine.masks import Mask
from ..engine.paths import flatten, paths
from ..engine.row_updates import rules_of
from ..engine.rule import Rule
from ..engine.slot_trees import is_placeholder
from ..engine.state import Slot, State
from ..engine.transformation import Transformation
from ..engine.value import restored, show
from ..numerics.arithmetic import compute_dtype
from ..parts.masked import Masked
from .group_trees import Layout, each_tree, layout_of, merged


class Rest(Mask):
    """Select the leaves that none of these masks selects."""

    masks: tuple[Mask, ...]

    def resolve(self, tree: Any) -> list[bool]:
        answers = [False] * len(flatten(tree)[0])
        for mask in self.masks:
            found = mask.resolve(tree)
            answers = [a or b for a, b in zip(answers, found, strict=True)]
        return [not a for a in answers]

    def __repr__(self) -> str:
        return "..."


class Member(NamedTuple):
    """One transformation inside the groups: the clip, or that of a group.

    Attributes:
        tx: the transformation.
        names: the names that its slots have in the state.
        inner: the names that the states of its external parts have.
        group: the number of its group; None for the clip, of all that are not frozen.
    """

    tx: Any
    names: dict[str, str]
    inner: dict[str, str]
    group: int | None

    def view(self, state: State, part: Callable[[Any], Any] | None = None) -> State:
        """Return its own state; `part(tree)` is what each tree of a slot has for it."""
        declared, slots = self.tx.slots(), {}
        for name, outer in self.names.items():
            if outer in state.slots:
                kept, slot = state.slots[outer], declared[name]
                if part is not None and not slot.shared:
                    kept = each_tree(slot, kept, part)
                slots[name] = kept
        inner = {name: state.inner[outer] for name, outer in self.inner.items()}
        return State(state.count, slots, inner)


class Groups(Transformation):
    """Run another optimizer on each group of leaves: what `groups` returns."""

    groups: tuple[tuple[Mask, Chain | None], ...]
    clip: Rule | None = None

    def __repr__(self) -> str:
        pairs = ", ".join(f"({show(mask)}, {tx!r})" for mask, tx in self.groups)
        clip = "" if self.clip is None else f", clip={self.clip!r}"
        return f"groups([{pairs}]{clip})"

    @property
    def frozen(self) -> tuple[Mask, ...]:
        """The masks of the groups without an optimizer."""
        return tuple(mask for mask, tx in self.groups if tx is None)

    @functools.cached_property
    def members(self) -> tuple[Member, ...]:
        """The clip and the optimizers, with the names of their slots in the state."""
        found: list[Member] = []
        taken: dict[str, Slot] = {}
        inner: set[str] = set()
        if self.clip is not None:
            found.append(_named(chain(self.clip), None, taken, inner))
        for i, (_, tx) in enumerate(self.groups):
            if tx is not None:
                found.append(_named(tx, i, taken, inner))
        return tuple(found)

    def map(self, change: Callable[[Any], Any]) -> "Groups":
        """Return the same groups with `change(tx)` for each optimizer and the clip."""
        each = tuple((m, tx if tx is None else change(tx)) for m, tx in self.groups)
        clip = self.clip if self.clip is None else change(self.clip)
        return restored(Groups, {"groups": each, "clip": clip})

    def slots(self) -> dict[str, Slot]:
        """Return the slots of all groups, by their names in the state."""
        slots: dict[str, Slot] = {}
        for member in self.members:
            for name, slot in member.tx.slots().items():
                slots.setdefault(member.names[name], slot)
        return slots

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        if self.clip is not None:
            yield from self.clip._in_order()
        for mask, tx in self.groups:
            for rule, masks in () if tx is None else tx._in_order():
                yield rule, masks | {mask}

    def row_rules(self) -> Iterator[Rule]:
        """Yield the rules of all groups, each for the leaves of its group."""
        yield from () if self.clip is None else (self.clip,)
        for mask, tx in self.groups:
            for rule in () if tx is None else rules_of(tx):
                yield Masked(rule, mask)

    def _is_eager(self, state: Any) -> bool:
        return tree.is_count_known(state)

    def _at(self, state: State) -> Any:
        return self.map(lambda tx: tx._at(state))

    def layout(self, params: Any) -> Layout:
        """Return which group each leaf of the parameters is in.

        Raises:
            ValueError: a leaf is in two groups, or in none.
        """
        leaves = flatten(params)[0]
        each = [mask.resolve(params) for mask, _ in self.groups]
        found = [[g for g, x in enumerate(each) if x[i]] for i in range(len(leaves))]
        twice = [i for i, own in enumerate(found) if len(own) > 1]
        never = [i for i, own in enumerate(found) if not own and leaves[i] is not None]
        if twice:
            raise errors.AdamxError(
                f"groups: every leaf must be in one group, got two for "
                f"{_told(params, twice, [self._shown(found[i]) for i in twice])}. "
                f"Narrow one of the patterns, or pass `...` for the leaves that no "
                f"other group has."
            )
        if never:
            raise errors.AdamxError(
                f"groups: every leaf must be in a group, got none for "
                f"{errors.listed(paths(params)[i] for i in never)}. Add "
                f"`(..., tx)` for the leaves that no other group has, or "
                f"`(..., None)` to freeze them."
            )
        return layout_of(params, [own[0] if own else None for own in found])

    def _shown(self, numbers: list[int]) -> str:
        return " and ".join(show(self.groups[g][0]) for g in numbers)

    def _chosen(self, member: Member) -> frozenset[int]:
        """Return the numbers of the groups whose leaves a member has."""
        if member.group is not None:
            return frozenset({member.group})
        live = (g for g, (_, tx) in enumerate(self.groups) if tx is not None)
        return frozenset(live)

    def apart(self, state: State, params: Any) -> list[tuple[Any, State, Any]]:
        """Return each transformation with its own state and parameters.

        Leaves of other groups are `None` in them.
        """
        laid = self.layout(params)
        parts = []
        for member in self.members:
            part = functools.partial(laid.only, self._chosen(member))
            parts.append((member.tx, member.view(state, part), part(params)))
        return parts

    def params_of_members(self, params: Any) -> list[Any]:
        """Return for each member the parameters with `None` for those of others."""
        laid = self.layout(params)
        return [laid.only(self._chosen(member), params) for member in self.members]

    def together(self, count: Any, states: Sequence[State], params: Any) -> State:
        """Return one state for those of all members, in their order."""
        asked = is_placeholder(params)
        laid = None if asked else self.layout(params)
        slots: dict[str, Any] = {}
        inner: dict[str, Any] = {}
        gathered: dict[str, list] = {}
        for member, state in zip(self.members, states, strict=True):
            declared = member.tx.slots()
            for name, kept in state.slots.items():
                outer = member.names[name]
                if declared[name].shared:
                    slots[outer] = kept
                else:
                    own = self._chosen(member)
                    gathered.setdefault(outer, []).append((own, declared[name], kept))
            for name, kept in state.inner.items():
                inner[member.inner[name]] = False if asked else kept
        live = frozenset(range(len(self.groups)))
        slots |= {name: merged(each, laid, live) for name, each in gathered.items()}
        order = {name: slots[name] for name in self.slots() if name in slots}
        return State(count, order, inner)

    def _init(self, params: Any) -> State:
        if is_placeholder(params):
            begun = [member.tx._init(params) for member in self.members]
        else:
            laid = self.layout(params)
            chosen = map(self._chosen, self.members)
            own = [laid.only(groups, params) for groups in chosen]
            begun = [m.tx._init(p) for m, p in zip(self.members, own, strict=True)]
        return self.together(jnp.zeros((), jnp.int32), begun, params)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State]:
        slots, inner = tree.slots_of(state), dict(state.inner)
        dtypes = tree.dtypes_of(updates, params)
        laid = self.layout(with_shapes(updates, params))
        new = laid.zeros(updates, dtypes)
        given = updates
        for member in self.members:
            # a member leaves what belongs to others as it is, so that it is given the
            # whole of its slots
            own = member.view(State(state.count, slots, inner))
            chosen = self._chosen(member)
            here = laid.only(chosen, given)
            if member.group is None:
                now = hyperparams.at(self.clip, state.count)
                count = optax.safe_increment(state.count)
                step = tree.Step(params, count, extra, dtypes, False)
                clipped, own_slots = tree.run_rule(now, here, own.slots, step)
                given, own = clipped, own._replace(slots=own_slots)
            else:
                there = None if params is None else laid.only(chosen, params)
                stepped, own = member.tx._update(here, own, there, extra)
                new = laid.put(chosen, stepped, new)
            slots |= {member.names[name]: x for name, x in own.slots.items()}
            inner |= {member.inner[name]: x for name, x in own.inner.items()}
        if self.clip is not None:  # it keeps the updates in the arithmetic's dtype
            new = tree.narrow(new, self._dtypes(laid, dtypes))
        return new, State(optax.safe_increment(state.count), slots, inner)

    def _dtypes(self, laid: Layout, dtypes: Sequence[Any]) -> list[Any]:
        """Return the dtypes of the updates; that of the arithmetic for exact ones."""
        last = {
            g
            for g, (_, tx) in enumerate(self.groups)
            if tx is not None
            if any(isinstance(p, Rule) and p._has_place("last") for p in tx.parts)
        }
        return [
            compute_dtype(d) if g in last and d is not None else d
            for g, d in zip(laid.by_leaf, dtypes, strict=True)
        ]


def with_shapes(updates: Any, params: Any) -> Any:
    """Return the parameters, or the updates, by which masks decide."""
    if params is None:
        return updates
    leaves, treedef = flatten(updates)
    here = column("params", params, updates)
    kept = [None if g is None else p for g, p in zip(leaves, here, strict=True)]
    return treedef.unflatten(kept)


def _named(
    tx: Any, group: int | None, taken: dict[str, Slot], inner: set[str]
) -> Member:
    """Return a member whose names in the state are free, or those of an equal slot."""
    before = "clip_" if group is None else f"group{group + 1}_"
    declared, names, ends = tx.slots(), {}, {}
    numbers = {name for name, slot in declared.items() if slot.shared}
    for name, slot in declared.items():
        # what goes with numbers of its own, as `mu` with `mu_weight`, is kept apart
        own = {n for n in numbers if n == name or n.startswith(f"{name}_")}
        other = taken.get(name)
        alike = other is None or not (
            slot.shared or other.shared or other.codec != slot.codec or own & set(taken)
        )
        names[name] = name if alike else before + name
    for name in (p.name for p in getattr(tx, "parts", ()) if isinstance(p, External)):
        ends[name] = before + name if name in inner else name
    taken |= {outer: declared[name] for name, outer in names.items()}
    inner |= set(ends.values())
    return Member(tx, names, ends, group)


def _told(params: Any, numbers: list[int], whose: list[str], limit: int = 4) -> str:
    """Return "'a/b' (in x and y), 'c' (in x and z) and 3 more"."""
    named = paths(params)
    each = [f"{named[i]!r} (in {own})" for i, own in zip(numbers, whose, strict=True)]
    more = len(each) - limit
    told = ", ".join(each[:limit])
    return f"{told} and {more} more" if more > 0 else told
