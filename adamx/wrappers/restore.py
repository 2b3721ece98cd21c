"""Bringing a saved state into the form that a transformation keeps.

Slots may have been saved in another dtype or by another codec, and averages with or
without the weight that they have gathered.
"""

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import errors
from ..engine.paths import flatten, paths
from ..engine.slots import encoded, join, shape_of, split
from ..engine.state import Slot, State, is_absent
from ..engine.tree import shared_dtype
from ..numerics.random_bits import key_of
from .tunable import Tuned


class Target(NamedTuple):
    """What a saved state is brought into the form of.

    Attributes:
        tx: the transformation; None if it is not known, inside one of another library.
        fresh: its first state.
        params: the parameters.
        saved_by: the transformation that saved the state, where codecs differ.
        given: the hyperparameters, where the transformation is not known.
    """

    tx: Any
    fresh: Any
    params: Any
    saved_by: Any = None
    given: Mapping[str, Any] = MappingProxyType({})

    def slots(self, saved: bool = False) -> Mapping[str, Slot]:
        """Return the slots of the transformation, or of the one that saved."""
        tx = self.saved_by if saved and self.saved_by is not None else self.tx
        return {} if tx is None else tx.slots()


def fill(to: Target, saved: Any) -> Any:
    """Return a saved state of adamx in the form of `to`.

    Raises:
        ValueError: a slot is missing, left over, or of another shape or codec.
    """
    tx, fresh = to.tx, to.fresh
    if isinstance(fresh, Tuned):
        inner = saved.inner if isinstance(saved, Tuned) else saved
        had = saved.hyperparams if isinstance(saved, Tuned) else {}
        values = {
            n: jnp.asarray(had.get(n, value), value.dtype)
            for n, value in fresh.hyperparams.items()
        }
        made = None if tx is None else tx._with(values)
        filled = fill(to._replace(tx=made, fresh=fresh.inner), inner)
        given = fresh.scheduled if tx is None else tx._scheduled(filled.count)
        return Tuned(values, given, filled)
    if isinstance(saved, Tuned):
        raise errors.AdamxError(
            f"restore: the values {sorted(saved.hyperparams)} in the saved state must "
            f"have a place in the new one, got {tx!r}. Make it tunable, or pass "
            f"saved.inner to leave them behind."
        )
    count = jnp.asarray(saved.count).astype(jnp.int32)
    declared, slots = to.slots(), {}
    for name, new in fresh.slots.items():
        followed = name in declared and declared[name].from_count is not None
        if name in saved.slots:
            slots[name] = _converted(to, name, new, saved.slots[name])
        elif followed:
            slots[name] = after(declared[name], count).astype(new.dtype)
        else:
            raise errors.AdamxError(
                f"restore: the saved state must hold the slot `{name}`, got "
                f"{sorted(saved.slots)}. It was saved by another algorithm; start "
                f"afresh with tx.init(params)."
            )
    over = saved.slots.keys() - slots.keys()
    left = sorted(name for name in over if not _is_weight(name, slots))
    if left or saved.inner.keys() != fresh.inner.keys():
        raise errors.AdamxError(
            f"restore: everything saved must have a place, got slots {left} and states "
            f"{sorted(saved.inner.keys() ^ fresh.inner.keys())} too many or too few. "
            f"Restore with the algorithm that saved them."
        )
    return State(count, slots, saved.inner)


def after(slot: Slot, count: Any) -> Any:
    """Return a slot that follows from the count, after `count` steps."""
    function: Any = slot.from_count
    counted = count.astype(shared_dtype())
    # 0**0 is no number by logarithms: before the first step it is its start
    value = function(jnp.maximum(counted, 1))
    return jnp.where(count > 0, value, jnp.asarray(slot.init, counted.dtype))


def _is_weight(name: str, slots: dict[str, Any]) -> bool:
    """Return whether a slot is the weight of an average, which the count determines."""
    average = name.removesuffix("_weight").removesuffix("_square")
    return name.endswith("_weight") and average in slots


def _converted(to: Target, name: str, new: Any, old: Any) -> Any:
    """Return a saved slot in the dtypes and the codec of the new one."""
    slot, kept = to.slots().get(name), to.slots(saved=True).get(name)
    same = kept is slot or (slot and kept and slot.codec == kept.codec)
    if same and _shapes(new) == _shapes(old):
        return jax.tree.map(functools.partial(_cast, name), new, old)
    if slot is None or kept is None or slot.shared:
        raise _not_alike(name, new, old)
    if to.saved_by is None:  # what a codec made cannot be read without it
        kept = dataclasses.replace(kept, codec=None)
    leaves, treedef = flatten(to.params)
    try:
        column = join(kept, old, treedef.flatten_up_to)
        empty = join(slot, new, treedef.flatten_up_to)
    except (ValueError, TypeError, KeyError):
        raise _not_alike(name, new, old) from None
    by_leaf = paths(to.params)
    made = [
        None if p is None else _recoded(name, slot, kept, fresh, one, p, path)
        for p, fresh, one, path in zip(leaves, empty, column, by_leaf, strict=True)
    ]
    nothing = dict.fromkeys(slot.codec.parts) if slot.codec else None
    columns = split(slot, [nothing if one is None else one for one in made])
    if isinstance(columns, dict):
        return {part: treedef.unflatten(each) for part, each in columns.items()}
    return treedef.unflatten(columns)


def _recoded(
    name: str, slot: Slot, kept: Slot, fresh: Any, saved: Any, p: Any, path: str
) -> Any:
    """Return one leaf of a slot, read as `kept` says and encoded as `slot` does."""
    if all(map(is_absent, jax.tree.leaves(fresh))):
        return fresh
    chosen = frozenset(slot.masks)
    shape = shape_of(slot, p, chosen, path)
    if kept.codec is None:
        value = jnp.asarray(saved)
    else:
        value = kept.codec.decode(jax.tree.map(jnp.asarray, saved), shape)
    if value.shape != shape or not jnp.issubdtype(value.dtype, jnp.floating):
        raise _not_alike(name, fresh, saved)
    if slot.codec is None:
        return value.astype(fresh.dtype)
    form = _Selected(chosen)
    return encoded(slot, value.astype(jnp.float32), None, p, form, key_of(0), 0)


class _Selected(NamedTuple):
    selected: frozenset


def _shapes(tree: Any) -> Any:
    return jax.tree.map(jnp.shape, tree)


def _cast(name: str, new: Any, old: Any) -> Any:
    """Return a saved array in the dtype of the new one, if both are floating or not."""
    old = jnp.asarray(old)
    real = jnp.issubdtype(old.dtype, jnp.floating)
    if real != jnp.issubdtype(new.dtype, jnp.floating):
        raise _not_alike(name, new, old)
    return old.astype(new.dtype)


def _not_alike(name: str, new: Any, old: Any) -> errors.AdamxError:
    wanted, got = (
        jax.tree.map(lambda x: f"{x.dtype}{list(jnp.shape(x))}", tree)
        for tree in (new, jax.tree.map(jnp.asarray, old))
    )
    return errors.AdamxError(
        f"restore: the slot `{name}` must have the structure and shapes of the "
        f"parameters, got {got} for {wanted}. Pass the parameters the state was made "
        f"for; if a codec had stored it, pass saved_by= the transformation that did."
    )
