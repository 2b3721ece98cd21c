"""What a rule is: one step of arithmetic on one leaf, and an Optax transformation.

The author of an algorithm writes `slots()` and `apply(update, slots, leaf)`; `init` and
`update` of whole trees come from the lift, once, for all.
"""

import dataclasses
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import jax
import optax
from jax.core import Tracer
from jaxtyping import Array, Float

from .. import errors as _checks
from . import hyperparams as hyper
from . import tree as lift
from .masks import Mask
from .state import Leaf, Slot, Slots, State
from .tree_checks import check_updates
from .value import Value, _restore


class Transformation(Value, optax.GradientTransformationExtraArgs):
    """A value that is an `optax.GradientTransformationExtraArgs`.

    Equal transformations have the *same* `init` and `update` functions, so that
    `jax.jit(tx.update)` of equal ones traces once. Subclasses write `_init`, `_update`
    and, where their state is not a `State`, `steps`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return tuple.__new__(cls, (None, None))  # the pair is the two properties below

    def __post_init__(self) -> None:
        hyper.check_fields(self)

    def __iter__(self) -> Iterator[Callable]:
        return iter((self.init, self.update))

    def __getitem__(self, i: Any) -> Any:
        return (self.init, self.update)[i]

    def _asdict(self) -> dict[str, Callable]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"init": self.init, "update": self.update}

    def _replace(self, **functions: Callable) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return optax.GradientTransformationExtraArgs(**self._asdict() | functions)

    @property
    def init(self) -> Callable:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`init(params) -> state`."""
        return _pair(self).init

    @property
    def update(self) -> Callable:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`update(updates, state, params=None, **extra) -> (updates, state)`."""
        return _pair(self).update

    def _init(self, params: Any) -> Any:
        raise NotImplementedError

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        raise NotImplementedError

    def steps(self, state: Any) -> Array:
        """The number of steps that a state of this transformation has seen."""
        return state.count

    def cast(self, dtype: Any) -> Any:
        """The same with its array hyperparameters in `dtype`."""
        return hyper.cast(self, dtype)


# ---- one pair of functions for equal transformations -------------------------


class _Program:
    """The compiled update of all transformations of one form, whatever their arrays."""

    def __init__(self, form: Any) -> None:
        def update(arrays: list, updates: Any, state: Any, params: Any, extra: Any):
            return form.unflatten(arrays)._update(updates, state, params, extra)

        self.run = update
        # inlined under jit; an eager call runs as one compiled program
        self.compiled = jax.jit(update, inline=True)


class _Pair:
    """`init` and `update` of one transformation."""

    def __init__(self, tx: Transformation) -> None:
        arrays, form = jax.tree.flatten(tx)
        program = _interned(_programs, form, _Program)

        def init(params: Any) -> Any:
            return tx._init(params)

        def update(
            updates: Any, state: Any, params: Any = None, **extra: Any
        ) -> tuple[Any, Any]:
            check_updates(updates)
            run = program.compiled if _all_data(extra) else program.run
            return run(arrays, updates, state, params, extra)

        self.init, self.update = init, update
        init.pair = update.pair = self  # pyright: ignore[reportFunctionMemberAccess]


def _all_data(extra: dict[str, Any]) -> bool:
    """Whether extra arguments can enter a compiled program (functions cannot)."""
    return not extra or all(
        isinstance(x, jax.Array | float | int) or hasattr(x, "__array__")
        for x in jax.tree.leaves(extra)
    )


# weak: a pair lives as long as an equal transformation, or one of its functions, does
_pairs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


_programs: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def _interned(known: Any, key: Any, make: Callable) -> Any:
    found = known.get(key)
    if found is None:
        found = known[key] = make(key)
    return found


def _pair(tx: Transformation) -> _Pair:
    if "_pair" not in tx.__dict__:
        fields = {name: getattr(tx, name) for name in tx._fields}
        twin = _restore(type(tx), fields)  # the key must not hold the pair
        traced = any(isinstance(x, Tracer) for x in jax.tree.leaves(tx))
        pair = _Pair(twin) if traced else _interned(_pairs, twin, _Pair)
        object.__setattr__(tx, "_pair", pair)
    return tx.__dict__["_pair"]


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
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> tuple[Float[Array, "..."], Slots]:
        """The new update and the new slots of one leaf."""
        raise NotImplementedError

    def slots(self) -> dict[str, Slot]:
        """What is remembered, by name: by default what the parts remember."""
        return merge_slots(self)

    def tick(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        """What the tree shares this step: the new shared slots and what follows from
        them. `count` is 1 on the first step, in a floating dtype."""
        known: dict[str, Array] = {}
        for part in self.parts():
            known |= part.tick(kept, count)
        return known

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        """For a rule of global reach: numbers of one leaf, summed over the tree."""
        return {}

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        """For a rule of global reach: what the sums come to, for `leaf.shared`.

        `known` is what `tick` returned and the shared slots; a shared slot that is
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
        """The masks that `leaf.selects` will be asked about."""
        fields = (getattr(self, name) for name in self._fields)
        own = {f: None for f in fields if isinstance(f, Mask)}
        for part in self.parts():
            own |= dict.fromkeys(part.masks())
        return tuple(own)

    def extras(self) -> frozenset[str]:
        """The names of the extra arguments of `update` that are read."""
        return frozenset().union(*(part.extras() for part in self.parts()))

    def reads_param(self) -> bool:
        """Whether `leaf.param` is read."""
        return any(part.reads_param() for part in self.parts())

    def reads_path(self) -> bool:
        """Whether `leaf.path` is read (each leaf is then traced by itself)."""
        return any(part.reads_path() for part in self.parts())

    def draws(self) -> bool:
        """Whether `leaf.key` is read."""
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


class Around(Rule):
    """A rule around another one, which measures and totals what the other one does."""

    part: Part = part()

    def measure(
        self, update: Float[Array, "..."], slots: Slots, leaf: Leaf
    ) -> dict[str, Array]:
        return self.part.measure(update, slots, leaf)

    def total(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        return self.part.total(totals, known)


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
