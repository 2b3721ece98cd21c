"""The base class of rules: arithmetic on one leaf that is an Optax transformation.

The author of an algorithm writes `slots()` and `apply(update, slots, ctx)`; `init` and
`update` for whole trees are in `engine/tree.py`, the same for all rules.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeAlias

from jaxtyping import Array, Float

from .. import errors
from ..numerics.splits import names_of
from . import own_rules, tree
from .hyperparams import at, declare_hyperparams
from .masks import Mask
from .state import Context, Slot, Slots, State
from .transformation import Transformation
from .value import restored

SCOPES = ("element", "tensor", "tree")
PLACES = ("direction", "step", "last")
TAKES = ("direction", "step", "either")

# a rule, or a chain of rules; anything else is a TypeError
Part: TypeAlias = Any


def part(*, kw_only: bool = False) -> Any:
    """Declare a dataclass field that holds a rule."""
    return dataclasses.field(metadata={"part": True}, kw_only=kw_only)


class Rule(Transformation):
    """Update one leaf, in float32 (float64 for float64 leaves): the base of all rules.

    Write `apply`, and `slots` if the rule has state. A rule made of other rules gets
    the rest from its parts.

        class SignOfMean(adamx.Rule):
            b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)")

            def slots(self):
                return {"mu": adamx.Slot()}

            def apply(self, update, slots, ctx):
                mu = self.b1 * slots["mu"] + (1 - self.b1) * update
                return jnp.sign(mu), slots | {"mu": mu}

    Attributes:
        whole_extra: the names of extra arguments that are no tree like the parameters:
            every leaf is given the whole of them.
        scope: how much of the parameters an element of the update depends on:
            "element" (its own), "tensor" (the whole leaf) or "tree" (all leaves).
        place: what the rule returns: "direction" (of ascent), "step" (negated, with
            the learning rate) or "last" (a step that depends on the exact new
            parameter: nothing may come after it). A rule that turns a step into
            another one keeps "direction".
        takes: what it must be given: "direction" (it stands before the learning rate),
            "step" (after it) or "either". `adamx.chain` checks it. The default is
            "either" for a rule of your own, "direction" for those of adamx.
        equations: what `adamx.describe` shows of a rule of your own: lines of equations
            and, last, the expression it returns, with fields, `{u}` and `{@slot}`:
            `"{@mu} ← {b1} {@mu} + {1-b1} {u} \\n sign({@mu})"`.
    """

    scope: ClassVar[str] = "element"
    place: ClassVar[str] = "direction"
    takes: ClassVar[str] = "either"
    equations: ClassVar[str] = ""
    whole_extra: ClassVar[frozenset[str]] = frozenset()
    _after_rate: ClassVar[str] = "Its result would lose the rate, or the sign."
    """For errors: what is wrong if it stands after the learning rate."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        declare_hyperparams(cls)
        super().__init_subclass__(**kwargs)
        own_rules.check_class(cls, scope=SCOPES, place=PLACES, takes=TAKES)

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in dataclasses.fields(self):
            if "part" in field.metadata:
                given = getattr(self, field.name)
                kept = as_rule(type(self).__name__, field.name, given)
                self._check_scope(field.name, kept)
                object.__setattr__(self, field.name, kept)

    def _check_scope(self, name: str, part: "Rule") -> None:
        """Raise an error if a part needs sums over the tree and this rule has none."""
        makes_sums = type(self).partial_sums is not Rule.partial_sums
        if part._widest_scope() == "tree" and not makes_sums:
            raise errors.AdamxError(
                f"{type(self).__name__}: `{name}` must not need sums over the whole "
                f"tree, got {part!r}. Put it into adamx.chain before this rule."
            )

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        """Return the new update and the new slots of one leaf."""
        raise errors.AdamxTypeError(
            f"{type(self).__name__}: a rule must have a method "
            f"apply(self, update, slots, ctx), got none. It returns the new update and "
            f"the new slots: `return update, slots`."
        )

    def slots(self) -> dict[str, Slot]:
        """Return the slots of the state by name: by default those of the parts."""
        return merge_slots(self)

    def needs(self) -> frozenset[str]:
        """Return the names of what `apply` uses of `ctx` and must ask for.

        "param" (`ctx.param`, `ctx.dtype`), "path" (`ctx.path`; each leaf is then traced
        by itself), "random" (`ctx.key`), or the name of an extra argument of `update`
        (`ctx.extra[name]`). By default the needs of the parts.
        """
        return frozenset().union(*(part.needs() for part in self._parts()))

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        """Return values that all leaves share in this step, for `ctx.shared`.

        It is called once per update. `kept` are the shared slots by name; if one is
        returned, its new value is kept. `count` is 1 on the first step, in a floating
        dtype.
        """
        known: dict[str, Array] = {}
        for part in self._parts():
            known |= part.shared(kept, count)
        return known

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        """Return numbers of one leaf, to be summed over the tree (scope "tree").

        Where the leaf is split over mesh axes that `axis_name` of the rule names, they
        are summed over these too.
        """
        return {}

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        """Return the matrices of one leaf that `together` is to be given, or None.

        A rule with this method must begin a sequence for it to be called: a chain sees
        to that. Otherwise `apply` has no `ctx.together`, and works on its leaf alone.
        """
        return None

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        """Compute matrices of one shape and dtype, of all leaves that have them.

        The results of a leaf are `ctx.together` in its `apply`.
        """
        return stack

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        """Compute shared values from the sums over the tree (scope "tree").

        They go to `ctx.shared`. `known` holds what `shared` returned and the shared
        slots; if a shared slot is returned, its new value is kept.
        """
        return totals

    def _with_masks(self, change: Callable[[Mask], Mask]) -> "Rule":
        """Return the rule with other masks, also in its parts."""

        def changed(x: Any) -> Any:
            if type(x) is tuple:
                return tuple(map(changed, x))
            if isinstance(x, Rule):
                return x._with_masks(change)
            return change(x) if isinstance(x, Mask) else x

        fields = {name: changed(getattr(self, name)) for name in self._fields}
        return restored(type(self), fields)

    def _placed(self, place: Any, chosen: frozenset) -> "Rule":
        """Return the rule for a leaf that is split inside `shard_map` (`Place`).

        `chosen` are the masks that select the leaf.
        """

        def placed(x: Any) -> Any:
            return x._placed(place, chosen) if isinstance(x, Rule) else x

        fields: dict[str, Any] = {}
        for name in self._fields:
            x = getattr(self, name)
            if name == "axis_name":
                x = place.of(x)
            fields[name] = tuple(map(placed, x)) if type(x) is tuple else placed(x)
        return restored(type(self), fields)

    def _axis_names(self) -> tuple[str, ...]:
        """Return the mesh axes over which this rule and its parts sum."""
        names = dict.fromkeys(names_of(getattr(self, "axis_name", None)))
        for part in self._parts():
            names |= dict.fromkeys(part._axis_names())
        return tuple(names)

    def _sum_axis_name(self) -> Any:
        """Return the mesh axes over which its sums over the tree are taken."""
        return getattr(self, "axis_name", None)

    def _in_order(self) -> Iterator[tuple["Rule", frozenset]]:
        yield self, frozenset()

    def _links(self) -> Iterator["Rule"]:
        """Yield rules that do the same in sequence, split where one has stacks."""
        yield self

    def _has_stacks(self) -> bool:
        """Return whether leaves are computed together, if it begins a sequence."""
        return type(self).together is not Rule.together

    def _takes(self) -> str:
        return self.takes

    def _is_fused(self) -> bool:
        """Return whether the leaves are computed by native loops, where there are."""
        return any(part._is_fused() for part in self._parts())

    def _parts(self) -> Iterator["Rule"]:
        """Yield the rules of which this one is made."""
        for name in self._fields:
            field = getattr(self, name)
            if isinstance(field, Rule):
                yield field
            elif type(field) is tuple:
                yield from (e for e in field if isinstance(e, Rule))

    def _whole_extra(self) -> frozenset[str]:
        """Return the extra arguments that every leaf is given whole."""
        return self.whole_extra.union(*(part._whole_extra() for part in self._parts()))

    def _masks(self) -> tuple[Mask, ...]:
        """Return the masks that are passed to `ctx.selects`."""
        fields = (getattr(self, name) for name in self._fields)
        own = {f: None for f in fields if isinstance(f, Mask)}
        for part in self._parts():
            own |= dict.fromkeys(part._masks())
        return tuple(own)

    def _widest_scope(self) -> str:
        """Return the widest scope of this rule and its parts."""
        scopes = [self.scope, *(part._widest_scope() for part in self._parts())]
        return max(scopes, key=SCOPES.index)

    def _has_place(self, place: str) -> bool:
        """Return whether this rule or one of its parts has this place."""
        own = self.place == place
        return own or any(part._has_place(place) for part in self._parts())

    def _reader(self) -> str:
        """Return the name of the part that needs the parameter, for error messages."""
        for part in self._parts():
            if "param" in part.needs():
                return part._reader()
        return type(self).__name__

    def _init(self, params: Any) -> State:
        return tree.init(self, params)

    def _is_eager(self, state: Any) -> bool:
        return tree.is_count_known(state)

    def _at(self, state: State) -> Any:
        return at(self, state.count)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State]:
        return tree.update(self, updates, state, params, extra)

    def _has_one_pass(self) -> bool:
        return True

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State] | None:
        if self._is_eager(state) and not self._is_fused():
            return None  # `update` is compiled once
        return tree.update(self, updates, state, params, extra, applied=True)


class Wrapper(Rule):
    """Wrap another rule, whose sums over the tree it uses.

    What it takes is what that rule takes, unless it says otherwise.
    """

    takes = "either"

    part: Part = part()

    def _around(self, link: Rule) -> Rule:
        """Return this wrapper around one link of its part."""
        fields = {name: getattr(self, name) for name in self._fields}
        return restored(type(self), fields | {"part": link})

    def _in_order(self) -> Iterator[tuple[Rule, frozenset]]:
        if self.takes == "either":
            yield from self.part._in_order()
        else:
            yield self, frozenset()

    def _sum_axis_name(self) -> Any:
        return self.part._sum_axis_name()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return self.part.apply(update, slots, ctx)

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return self.part.partial_sums(update, slots, ctx)

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        return self.part.from_sums(totals, known)


class LinkWise(Wrapper):
    """Wrap another rule and act on each of its links alike, also one with stacks."""

    def _links(self) -> Iterator[Rule]:
        links = list(self.part._links())
        if len(links) == 1:
            yield self
        else:
            yield from map(self._around, links)

    def _has_stacks(self) -> bool:
        return self.part._has_stacks()

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        return self.part.matrices(update, slots, ctx)

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.part.together(stack)


def merge_slots(rule: Rule) -> dict[str, Slot]:
    """Return the slots of a rule's parts; raise if two use the same name."""
    merged: dict[str, Slot] = {}
    for part in rule._parts():
        asked = part.slots()
        twice = sorted(merged.keys() & asked.keys())
        if twice:
            raise errors.AdamxError(
                f"{type(rule).__name__}: each slot name must belong to one part, got "
                f"`{twice[0]}` twice, the second time from {part!r}. "
                f"Give one of them another name=."
            )
        merged |= asked
    return merged


def as_rule(where: str, name: str, given: Any) -> Rule:
    """Return a rule, or a chain of rules as one; raise TypeError for anything else."""
    if isinstance(given, Rule):
        return given
    if isinstance(given, Transformation) and hasattr(given, "rule"):
        return given.rule  # pyright: ignore[reportAttributeAccessIssue]
    raise errors.type_error(
        where,
        f"`{name}` must be a rule on one leaf, such as Ema(0.9)",
        repr(given),
        "What sees the whole tree goes into adamx.chain beside it.",
    )
