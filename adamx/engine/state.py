"""What a rule remembers, what it is told of a leaf, and the state of a whole tree.

A rule sees one leaf of the parameters at a time. `Slot` describes one array that it
wants kept between steps, `Context` what it may know besides its update and its slots,
and `State` is what is kept for the whole tree.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..errors import AdamxError, suggest

Slots = dict[str, Array]


def absent() -> Array:
    """What stands in a state where a leaf keeps nothing: one byte, False.

    An array, since `None` breaks `optax.tree_map_params`; not one of size 0, which
    Orbax refuses to save; and of a dtype that no slot has.
    """
    return jnp.zeros((), bool)


def copied(param: Array) -> Array:
    """The start of a slot that begins at the parameter itself (`init` copies it)."""
    return param


def is_absent(x: Any) -> bool:
    """Whether `x`, an array or its shape and dtype, stands where nothing is kept."""
    return x.dtype == bool


@dataclasses.dataclass(frozen=True)
class Slot:
    """One named array remembered for each leaf, or one scalar for the whole tree.

    Attributes:
        init: its value before the first step: a number, or a function of the
            parameter (in the arithmetic's dtype) that returns a new array.
        shape_of: the slot has the shape and sharding of `shape_of(parameter)`; without
            it, of the parameter itself. A sum over the columns makes it one value per
            row.
        by_path: `shape_of` is called with the leaf's path and the parameter.
        shared: one scalar for the whole tree, kept up to date by the rule's `shared`.
        signed: whether it may be negative (storage wants to know).
        from_count: for a shared slot, its value after `count` steps, with which a
            state saved without it is completed (`adamx.restore`).
        masks: kept only for the leaves that all of these select.
        stacked_by: one for each slice along the first axis of the leaves that these
            masks select.
        dtype: the dtype it is kept in, if not that of the arithmetic.
        codec: how it is kept (`adamx.store`); None: as it is.
        seed: the integer that the codec's random numbers follow from.
        single_array_because: why it must stay one array; codecs that make several
            arrays of a slot give this reason in their error.
    """

    init: Any = 0.0
    shape_of: Callable[..., Array] | None = None
    shared: bool = False
    signed: bool = True
    from_count: Callable[[Array], Array] | None = None
    masks: tuple = ()
    stacked_by: tuple = ()
    by_path: bool = False
    dtype: Any = None
    codec: Any = None
    seed: Any = 0
    single_array_because: str = ""


# What a context holds only if the rule asks for it, and what to ask for.
_ASKED_FOR = {"param": "param", "dtype": "param", "path": "path", "key": "random"}


class Context:
    """What a rule may know of a leaf besides its update and its slots.

    `count`, `shared`, `extra` and `selects` are always there. The others are there
    only if the rule's `needs()` asks for them; reading one that was not asked for
    raises an error that says so.

    Attributes:
        count: the step being taken, 1 on the first.
        shared: what the whole tree shares this step: what the rule's `shared` and
            `from_sums` returned, by name.
        extra: the extra arguments of `update` that the rule asked for, by name.
        selected: the masks that select this leaf.
        param: the parameter in the arithmetic's dtype; needs "param".
        dtype: the dtype of the parameter itself; needs "param".
        path: where the leaf stands, such as `layers/0/kernel`; needs "path".
        key: 32 bits that follow from the step and the path; needs "random".
    """

    count: Any
    shared: Mapping[str, Array]
    extra: "Extra"
    selected: frozenset
    param: Any
    dtype: Any
    path: Any
    key: Any

    def __init__(
        self,
        count: Any,
        shared: Mapping[str, Array] | None = None,
        extra: Mapping[str, Any] | None = None,
        selected: frozenset = frozenset(),
        **asked_for: Any,
    ) -> None:
        asked_for |= {"count": count, "shared": shared or {}, "selected": selected}
        extra = extra if isinstance(extra, Extra) else Extra("a rule", extra or {})
        self.__dict__.update(asked_for, extra=extra)

    def __getattr__(self, name: str) -> Any:
        if name not in _ASKED_FOR:
            raise AttributeError(f"Context has no attribute {name!r}")
        need = _ASKED_FOR[name]
        raise AdamxError(
            f"{self.extra.rule}: `ctx.{name}` must be asked for before it is read, got "
            f"a rule whose needs() does not name {need!r}. Write in the class: "
            f'def needs(self): return super().needs() | {{"{need}"}}.'
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Context is read only; use ctx.replace({name}=...)")

    def has(self, name: str) -> bool:
        """Whether it holds what a rule must ask for, such as "param"."""
        return name in self.__dict__

    def replace(self, **changes: Any) -> "Context":
        """The same with other values."""
        return Context(**{**self.__dict__, **changes})

    def only(self, rule: str, needs: frozenset[str]) -> "Context":
        """The same for a rule of this name, without what `needs` does not name."""
        hidden = {n for n, need in _ASKED_FOR.items() if need not in needs}
        kept: dict[str, Any] = {}
        kept |= {n: x for n, x in self.__dict__.items() if n not in hidden}
        extra = Extra(rule, {n: x for n, x in self.extra.items() if n in needs})
        kept["extra"] = extra
        return Context(**kept)

    def selects(self, mask: Any) -> bool:
        """Whether `mask` (None: every leaf) selects this leaf."""
        return mask is None or mask in self.selected


class Extra(dict):
    """The extra arguments of a rule by name; one it did not ask for is an error."""

    def __init__(self, rule: str, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.rule = rule

    def __missing__(self, name: str) -> Any:
        raise AdamxError(
            f"{self.rule}: the extra argument `{name}` must be asked for before it is "
            f"read, got a rule whose needs() names {sorted(self) or 'none'}. "
            f"Write in the class: def needs(self): "
            f'return super().needs() | {{"{name}"}}.'
        )


class OwnSlots(dict):
    """Slots by name; one that no rule declared is an error."""

    def __init__(self, rule: str, slots: Slots) -> None:
        super().__init__(slots)
        self.rule = rule

    def __missing__(self, name: str) -> Any:
        raise AdamxError(
            f"{self.rule}: the slot `{name}` must be declared before it is read, got "
            f"the slots {sorted(self)}. {suggest(name, self)} Return it from slots(): "
            f'{{"{name}": adamx.Slot()}}.'
        )


class State(NamedTuple):
    """What an adamx transformation remembers.

    Attributes:
        count: the steps taken, int32, saturating.
        slots: one entry per slot name: a tree like the parameters, or one scalar.
        inner: the states of external transformations in the chain, by name.
    """

    count: Any
    slots: dict[str, Any]
    inner: dict[str, Any] = {}  # noqa: RUF012  never written to


def find_states(state: Any, kind: type) -> list[Any]:
    """Every state of one kind in any nesting of states, the outer before the inner."""

    def is_kind(x: Any) -> bool:
        return isinstance(x, kind)

    found = [x for x in jax.tree.leaves(state, is_leaf=is_kind) if is_kind(x)]
    inner = [find_states(getattr(x, "inner", ()), kind) for x in found]
    return found + [x for states in inner for x in states]
