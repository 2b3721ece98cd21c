"""What a rule is: one step of arithmetic on one leaf, and an Optax transformation.

The author of an algorithm writes `slots()` and `apply(update, slots, ctx)`; `init` and
`update` of whole trees come from the lift, once, for all.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors as _checks
from . import tree as lift
from .masks import Mask
from .state import Context, Slot, Slots, State
from .transformation import Transformation

# ---- rules -------------------------------------------------------------------


# a rule, or a chain of rules; anything else is refused with a sentence
Part: TypeAlias = Any


def part(*, kw_only: bool = False) -> Any:
    """A dataclass field that holds a rule."""
    return dataclasses.field(metadata={"part": True}, kw_only=kw_only)


class Rule(Transformation):
    """One step of arithmetic on one leaf, in float32 (float64 for float64 leaves).

    Write `apply`, and `slots` if something is remembered. A rule made of other rules
    gets the rest by asking its parts.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in dataclasses.fields(self):
            if "part" in field.metadata:
                given = getattr(self, field.name)
                kept = as_rule(type(self).__name__, field.name, given)
                object.__setattr__(self, field.name, kept)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        """The new update and the new slots of one leaf."""
        raise NotImplementedError

    def slots(self) -> dict[str, Slot]:
        """What is remembered, by name: by default what the parts remember."""
        return merge_slots(self)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        """What the tree shares this step: the new shared slots and what follows from
        them. `count` is 1 on the first step, in a floating dtype."""
        known: dict[str, Array] = {}
        for part in self.parts():
            known |= part.shared(kept, count)
        return known

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        """For a rule of global reach: numbers of one leaf, summed over the tree."""
        return {}

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        """For a rule of global reach: what the sums come to, for `ctx.shared`.

        `known` is what `shared` returned and the shared slots; a shared slot that is
        returned is kept.
        """
        return totals

    def parts(self) -> Iterator["Rule"]:
        """The rules this one is made of."""
        for name in self._fields:
            field = getattr(self, name)
            if isinstance(field, Rule):
                yield field
            elif type(field) is tuple:
                yield from (e for e in field if isinstance(e, Rule))

    def masks(self) -> tuple[Mask, ...]:
        """The masks that `ctx.selects` will be asked about."""
        fields = (getattr(self, name) for name in self._fields)
        own = {f: None for f in fields if isinstance(f, Mask)}
        for part in self.parts():
            own |= dict.fromkeys(part.masks())
        return tuple(own)

    def extras(self) -> frozenset[str]:
        """The names of the extra arguments of `update` that are read."""
        return frozenset().union(*(part.extras() for part in self.parts()))

    def reads_param(self) -> bool:
        """Whether `ctx.param` is read."""
        return any(part.reads_param() for part in self.parts())

    def reads_path(self) -> bool:
        """Whether `ctx.path` is read (each leaf is then traced by itself)."""
        return any(part.reads_path() for part in self.parts())

    def draws(self) -> bool:
        """Whether `ctx.key` is read."""
        return any(part.draws() for part in self.parts())

    def lands(self) -> bool:
        """Whether the update says where the parameter lands: never in fewer digits."""
        return any(part.lands() for part in self.parts())

    def descends(self) -> bool:
        """Whether the sign turns here, from a direction of ascent to a step."""
        return any(part.descends() for part in self.parts())

    def reader(self) -> str:
        """The name of the part that reads the parameter, for the error message."""
        for part in self.parts():
            if part.reads_param():
                return part.reader()
        return type(self).__name__

    def reach(self) -> str:
        """`elementwise`, `per tensor` (needs the whole leaf) or `global` (the tree)."""
        order = ("elementwise", "per tensor", "global")
        return max((p.reach() for p in self.parts()), key=order.index, default=order[0])

    def _init(self, params: Any) -> State:
        return lift.init(self, params)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State]:
        return lift.update(self, updates, state, params, extra)


class Wrapper(Rule):
    """A rule around another one, which measures and totals what the other one does."""

    part: Part = part()

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return self.part.partial_sums(update, slots, ctx)

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        return self.part.from_sums(totals, known)


def merge_slots(rule: Rule) -> dict[str, Slot]:
    """The slots of a rule's parts; two parts must not ask for one name."""
    merged: dict[str, Slot] = {}
    for part in rule.parts():
        asked = part.slots()
        twice = sorted(merged.keys() & asked.keys())
        if twice:
            raise _checks.AdamxError(
                f"{type(rule).__name__}: each slot name must belong to one part, got "
                f"`{twice[0]}` twice, the second time from {part!r}. "
                f"Give one of them another name=."
            )
        merged |= asked
    return merged


def as_rule(where: str, name: str, given: Any) -> Rule:
    """A rule, or a chain of rules as one; refuse what is neither."""
    if isinstance(given, Rule):
        return given
    if isinstance(given, Transformation) and hasattr(given, "rule"):
        return given.rule  # pyright: ignore[reportAttributeAccessIssue]
    raise _checks.refuse(
        where,
        f"`{name}` must be a rule on one leaf, such as Ema(0.9)",
        repr(given),
        "What sees the whole tree goes into adamx.chain beside it.",
    )


class _PerTensor(Rule):
    """A rule that needs the whole leaf."""

    def reach(self) -> str:
        return "per tensor"


class _RateFree(Rule):
    """A global rule that remembers where the parameters began."""

    def reach(self) -> str:
        return "global"

    def reads_param(self) -> bool:
        return True


def _estimate(ctx: Context, like: Array) -> Array:
    return jnp.asarray(ctx.extra["hessian"], like.dtype)
