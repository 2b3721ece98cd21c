"""Slots of a rule, the context it is given for a leaf, and the state of a tree.

A rule acts on one leaf of the parameters at a time. `Slot` describes one array that it
keeps between steps, `Context` what it is given besides its update and its slots, and
`State` is the state of the whole tree.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
from jax import export
from jaxtyping import Array

from .. import html
from ..errors import AdamxError, suggest

Slots = dict[str, Array]
Kind = TypeVar("Kind")


def serializable(kind: type[Kind]) -> type[Kind]:
    """Register a class of states for `jax.export`, under its public name."""
    export.register_namedtuple_serialization(
        kind, serialized_name=f"adamx.{kind.__name__}"
    )
    return kind


@serializable
class Absent(NamedTuple):
    """What stands where a leaf does not have a slot: a node of the tree without leaves.

    Hence nothing is allocated, saved, sharded or donated for it, and it is in no box of
    Flax, whose metadata would be that of the parameter. It is no `None`, which stands
    for a frozen parameter, and no `optax.MaskedNode`, for one that is hidden.
    """


ABSENT = Absent()


def absent() -> Absent:
    """Return the placeholder for a slot that a leaf does not have."""
    return ABSENT


def copied(param: Array) -> Array:
    """Initialise a slot with a copy of the parameter."""
    return param


def is_absent(x: Any) -> bool:
    """Return whether `x` stands for a slot that a leaf does not have.

    In states that were saved long ago it is an array of dtype bool, which no slot has.
    """
    return isinstance(x, Absent) or (hasattr(x, "dtype") and x.dtype == bool)


@dataclasses.dataclass(frozen=True)
class Slot:
    """Describe one array of state for each leaf, or one scalar for the whole tree.

    Attributes:
        init: the value before the first step: a number, or a function of the
            parameter (in the arithmetic's dtype) that returns a new array.
        shape_of: the slot has the shape and sharding of `shape_of(parameter)`; None for
            those of the parameter. A sum over the columns gives one value per row.
        by_path: whether `shape_of` is called with the leaf's path and the parameter.
        labelled_by: a mask with labels, such as the axes of matrices: `init`, if it is
            a function, and `shape_of` are called with the leaf's label (None for none)
            and the parameter; None for the parameter alone. Not with `by_path`.
        shared: whether it is one scalar for the whole tree, updated by the rule's
            `shared`.
        signed: whether it may be negative; codecs use this.
        from_count: for a shared slot, its value after `count` steps, which
            `adamx.restore` adds to a state saved without it.
        masks: only the leaves that all of these select have the slot.
        stacked_by: the slot has one value for each slice of the leaves that these masks
            select: pairs of a mask and the axis of layers, the outermost last. A slot
            of as many axes as the parameter has that axis, others have it first.
        whole: whether every device computes with the whole of it, as with a square
            matrix. On a mesh it is kept split over the devices of the parameter, and
            the rule gathers it by `numerics.sharding.unsharded`.
        dtype: the dtype of the slot, if not that of the arithmetic.
        codec: the codec that stores it (`adamx.store`); None for none.
        seed: the seed of the codec's random numbers.
        split: how the slot is split inside `shard_map`, where that is known.
        single_array_because: why it must stay one array; the reason given in errors
            for codecs that make several arrays of a slot.
    """

    init: Any = 0.0
    shape_of: Callable[..., Array] | None = None
    shared: bool = False
    signed: bool = True
    from_count: Callable[[Array], Array] | None = None
    masks: tuple = ()
    stacked_by: tuple = ()
    by_path: bool = False
    labelled_by: Any = None
    whole: bool = False
    dtype: Any = None
    codec: Any = None
    seed: Any = 0
    split: Any = None
    single_array_because: str = ""


PLACES = "row_places"
"""The extra argument that says which rows of a table the rows of a leaf are, by the
number of the leaf: `row_updates` adds it for the random numbers."""

TABLES = "row_tables"
"""The extra argument with the `RowTables` of these leaves, for a fused rule."""


class RowTables(NamedTuple):
    """The whole tables of a leaf with row-sparse gradients.

    Attributes:
        indices: each once; those that are no row of the table are padding.
        param: the whole parameter, or None.
        slots: the whole slots, as kept, by name.
    """

    indices: Any
    param: Any
    slots: dict[str, Any]


# The attributes of a context that a rule must ask for, and the name to ask for.
_ASKED_FOR = {"param": "param", "dtype": "param", "path": "path", "key": "random"}


class Context:
    """Hold what a rule is given for a leaf besides its update and its slots.

    `count`, `shared`, `extra` and `selects` are always available. The others are
    available only if the rule's `needs()` asks for them; otherwise reading them raises
    an error.

    Attributes:
        count: the step being taken, 1 on the first.
        shared: the values that all leaves share in this step, by name, from the rule's
            `shared` and `from_sums`.
        extra: the extra arguments of `update` that the rule asked for, by name.
        selected: the masks that select this leaf.
        param: the parameter in the arithmetic's dtype; needs "param".
        dtype: the dtype of the parameter itself; needs "param".
        path: the path of the leaf, such as `layers/0/kernel`; needs "path".
        key: 32 random bits, a function of step and path; needs "random".
        together: what `together` of the rule returned for the matrices of this leaf;
            `has("together")` is False where the rule works on its leaf alone.
    """

    count: Any
    shared: Mapping[str, Array]
    extra: "Extra"
    selected: frozenset
    param: Any
    dtype: Any
    path: Any
    key: Any
    together: Any

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
        """Return whether an attribute was asked for, such as "param"."""
        return name in self.__dict__

    def replace(self, **changes: Any) -> "Context":
        """Return a copy with other values."""
        return Context(**{**self.__dict__, **changes})

    def only(self, rule: str, needs: frozenset[str]) -> "Context":
        """Return a copy for a rule, with only what `needs` names."""
        hidden = {n for n, need in _ASKED_FOR.items() if need not in needs}
        kept: dict[str, Any] = {}
        kept |= {n: x for n, x in self.__dict__.items() if n not in hidden}
        extra = Extra(rule, {n: x for n, x in self.extra.items() if n in needs})
        kept["extra"] = extra
        return Context(**kept)

    def selects(self, mask: Any) -> bool:
        """Return whether `mask` selects this leaf; None selects every leaf."""
        return mask is None or mask in self.selected

    def label(self, mask: Any) -> Any:
        """Return the label that `mask` has for this leaf, None for none."""
        return label_of(mask, self.selected)


class Labelled(NamedTuple):
    """A mask, and the label that it has for a leaf."""

    mask: Any
    label: Any


def label_of(mask: Any, selected: frozenset) -> Any:
    """Return the label that `mask` has for a leaf, by the masks that select it."""
    for x in selected:
        if isinstance(x, Labelled) and x.mask == mask:
            return x.label
    return None


class Extra(dict):
    """Extra arguments by name; raises an error for one that was not asked for."""

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
    """Slots by name; raises an error for one that no rule declared."""

    def __init__(self, rule: str, slots: Slots) -> None:
        super().__init__(slots)
        self.rule = rule

    def __missing__(self, name: str) -> Any:
        raise AdamxError(
            f"{self.rule}: the slot `{name}` must be declared before it is read, got "
            f"the slots {sorted(self)}. {suggest(name, self)} Return it from slots(): "
            f'{{"{name}": adamx.Slot()}}.'
        )


def _kept(name: str, tree: Any) -> tuple[tuple[str, ...], int]:
    """Return a row on the arrays of a slot, and their bytes."""
    arrays = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]
    shapes = list(dict.fromkeys(str(tuple(x.shape)) for x in arrays))
    more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
    dtypes = ", ".join(dict.fromkeys(str(x.dtype) for x in arrays))
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in arrays)
    cells = (name, str(len(arrays)), dtypes, ", ".join(shapes[:3]) + more)
    return (*cells, html.size(size)), size


@serializable
class State(NamedTuple):
    """The state of an adamx transformation.

    Attributes:
        count: the steps taken, int32, saturating.
        slots: one entry per slot name: a tree like the parameters, or one scalar.
        inner: the states of external transformations in the chain, by name.

    A slot is an attribute too: `state.mu` is `state.slots["mu"]`.
    """

    count: Any
    slots: dict[str, Any]
    inner: dict[str, Any] = {}  # noqa: RUF012  never written to

    def _repr_html_(self) -> str:
        kept = [_kept(name, tree) for name, tree in self.slots.items()]
        kept += [_kept(f"inner[{name!r}]", tree) for name, tree in self.inner.items()]
        most = max((size for _, size in kept), default=0)
        made = html.table(
            ("slot", "arrays", "of", "shapes", "size"),
            [row for row, _ in kept],
            right=(1, 4),
            code=(0, 2),
            bars=[size / max(most, 1) for _, size in kept],
            caption=f"State after {self.count} steps",
            foot=f"{html.size(sum(size for _, size in kept))} in all.",
        )
        return f"<div>{made}</div>"

    def __getattr__(self, name: str) -> Any:
        slots = self.slots
        if not name.startswith("_") and isinstance(slots, dict):
            if name in slots:
                return slots[name]
            raise AttributeError(
                f"State: an attribute must be count, slots, inner or a slot (here "
                f"{', '.join(sorted(slots)) or 'none'}), got `{name}`. Averages of the "
                f"parameters, as of schedule-free, are read by "
                f"adamx.eval_params(state, params)."
            )
        raise AttributeError(name)
