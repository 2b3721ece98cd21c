"""The words a rule is written in: what it asks to be remembered, and what it is told.

A rule sees one leaf of the parameters. `Slot` is one array it wants kept between steps,
`Context` what it may know besides its update and its slots, and `State` what is kept
for the whole tree. No arithmetic here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

Slots = dict[str, Array]


def nothing() -> Array:
    """What stands in a state where a leaf keeps nothing: one byte, False.

    An array, since `None` breaks `optax.tree_map_params`; not one of size 0, which
    Orbax refuses to save; and of a dtype that no slot has.
    """
    return jnp.zeros((), bool)


def copied(param: Array) -> Array:
    """The start of a slot that begins at the parameter itself (`init` copies it)."""
    return param


def is_nothing(x: Any) -> bool:
    """Whether `x`, an array or its shape and dtype, stands for nothing."""
    return x.dtype == bool


@dataclasses.dataclass(frozen=True)
class Slot:
    """One named array remembered for each leaf, or one scalar for the whole tree.

    Attributes:
        start: its value before the first step: a number, or a function of the
            parameter (in the arithmetic's dtype) that returns a new array.
        like: the slot has the shape and sharding of `like(parameter)`; without it, of
            the parameter itself. A sum over the columns makes it one value per row.
        by_path: `like` is called with the leaf's path and the parameter.
        shared: one scalar for the whole tree, kept up to date by the rule's `shared`.
        signed: whether it may be negative (storage wants to know).
        from_count: for a shared slot, its value after `count` steps, with which a
            state saved without it is completed (`adamx.restore`).
        masks: kept only for the leaves that all of these select.
        stacks: one for each slice along the first axis of the leaves these select.
        dtype: the dtype it is kept in, if not that of the arithmetic.
        codec: how it is kept (`adamx.store`); None: as it is.
        seed: the integer that the codec's random numbers follow from.
        alone: why it must stay one array, for the refusal of codecs that make several.
    """

    start: Any = 0.0
    like: Callable[..., Array] | None = None
    shared: bool = False
    signed: bool = True
    from_count: Callable[[Array], Array] | None = None
    masks: tuple = ()
    stacks: tuple = ()
    by_path: bool = False
    dtype: Any = None
    codec: Any = None
    seed: Any = 0
    alone: str = ""


class Context(NamedTuple):
    """What a rule may know of a leaf besides its update and its slots.

    Attributes:
        count: the step being taken, 1 on the first.
        param: the parameter in the arithmetic's dtype, where the rule reads it.
        shared: what the whole tree shares this step: what `shared` returned and the
            totals of what `partial_sums` returned.
        extra: the extra arguments of `update` that the rule asked for.
        selected: the masks that select this leaf.
        path: where the leaf stands, such as `layers/0/kernel`, if the rule reads it.
        dtype: the dtype of the parameter itself, where the rule reads it.
        key: 32 bits that follow from the step and the path, if the rule draws.
    """

    count: Int[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]
    param: Any = None  # Float[Array, "..."] where the rule reads it
    shared: Mapping[str, Array] = {}
    extra: Mapping[str, Any] = {}
    selected: frozenset = frozenset()
    path: str | None = None
    dtype: Any = None
    key: Any = None

    def selects(self, mask: Any) -> bool:
        """Whether `mask` (None: every leaf) selects this leaf."""
        return mask is None or mask in self.selected


class State(NamedTuple):
    """What an adamx transformation remembers.

    Attributes:
        count: the steps taken, int32, saturating.
        slots: one entry per slot name: a tree like the parameters, or one scalar.
        inner: the states of foreign transformations in the chain, by name.
    """

    count: Any
    slots: dict[str, Any]
    inner: dict[str, Any] = {}  # noqa: RUF012  never written to
