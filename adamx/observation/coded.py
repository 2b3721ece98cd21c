"""Metrics of slots that a codec keeps, and such a state without codecs."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ..engine.leaves import slot_column
from ..engine.paths import flatten
from ..engine.slots import is_like, labels, shape_of
from ..engine.state import ABSENT, Slot, State, is_absent
from ..engine.transformation import Transformation
from ..engine.tree import shared_dtype
from ..numerics.halves import bytes_split
from ..wrappers.around import Around, declared, inner_of
from .rules import inside
from .statistics import row_of

COUNTED = 2**16
"""Of as many codes of a leaf it is counted how many are different."""


def _coded(tx: Any) -> dict[str, Slot]:
    """Return the slots of a transformation and of those inside that codecs keep."""
    found = {
        name: slot for name, slot in declared(tx).items() if slot.codec is not None
    }
    for inner in inner_of(tx):
        found |= _coded(inner)
    return found


def _has_codes(slot: Slot) -> bool:
    return "codes" in slot.codec.parts and getattr(slot.codec, "bits", 0) in (4, 8)


def keys(tx: Any) -> list[str]:
    """Return the keys of the metrics of the slots that codecs keep."""
    found = []
    for name, slot in sorted(_coded(tx).items()):
        found.append(f"{name}_staleness")
        found += [f"{name}_codes_used"] if _has_codes(slot) else []
    return found


def _held(tx: Any, *states: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield each transformation that has a `State`, with that of each of `states`."""
    if isinstance(tx, Around):
        yield from _held(tx.inner, *map(tx.state_inside, states))
    elif isinstance(tx, Transformation) and isinstance(states[0], State):
        yield tx, states
        for name, inner in inside(tx):
            yield from _held(inner, *(state.inner[name] for state in states))


def _decoded(slot: Slot, kept: Any, p: Any, label: frozenset) -> Any:
    """Return what a leaf has of a slot in float32, `Absent()` for nothing."""
    parts = kept.values() if isinstance(kept, dict) else [kept]
    if p is None or all(x is None or is_absent(x) for x in parts):
        return None if p is None else ABSENT
    if slot.codec is None:
        return kept
    chosen = label.union(slot.masks)
    shape = p.shape if is_like(slot) else shape_of(slot, p, chosen, None)
    return slot.codec.decode(kept, shape)


def decoded_state(tx: Any, state: Any, params: Any) -> Any:
    """Return a state in which no slot is kept by a codec."""
    if isinstance(tx, Around):
        inner = decoded_state(tx.inner, tx.state_inside(state), params)
        return tx.around(state, inner)
    if not (isinstance(tx, Transformation) and isinstance(state, State)):
        return state
    slots = dict(state.slots)
    for name, slot in declared(tx).items():
        if slot.codec is not None:
            slots[name] = _tree(name, slot, state.slots[name], params)
    inner = dict(state.inner)
    for name, one in inside(tx):
        inner[name] = decoded_state(one, inner[name], params)
    return State(state.count, slots, inner)


def _tree(name: str, slot: Slot, kept: Any, params: Any) -> Any:
    leaves, treedef = flatten(params)
    column = slot_column(name, slot, kept, params)
    each = zip(column, leaves, labels(slot, params), strict=True)
    return treedef.unflatten([_decoded(slot, x, p, label) for x, p, label in each])


def statistics(
    tx: Any, before: Any, stored: Any, exact: Any, params: Any
) -> dict[str, Array]:
    """Return the metrics of the slots that codecs keep.

    Args:
        tx: the transformation.
        before: its state before the step.
        stored: its state after the step.
        exact: the same without codecs, as the rules have returned it.
        params: the parameters.
    """
    stale: dict[str, list[Any]] = {}
    used: dict[str, list[Any]] = {}
    for one, (old, new, wide) in _held(tx, before, stored, exact):
        for name, slot in declared(one).items():
            if slot.codec is None:
                continue
            leaves = flatten(params)[0]
            trees = (old.slots[name], new.slots[name])
            was, now = (slot_column(name, slot, tree, params) for tree in trees)
            named = labels(slot, params)
            plain = Slot(shape_of=slot.shape_of, masks=slot.masks)
            moved = slot_column(name, plain, wide.slots[name], params)
            for a, b, c, p, label in zip(was, now, moved, leaves, named, strict=True):
                x, y = (_decoded(slot, kept, p, label) for kept in (a, b))
                if x is None or is_absent(x):
                    continue
                stuck = jnp.abs(y - x) < 0.5 * jnp.abs(c - x)
                stale.setdefault(name, []).append((jnp.sum(stuck), x.size))
                if _has_codes(slot) and _is_coded(b):
                    used.setdefault(name, []).append((_used(slot, b), x.size))
    found = {f"{n}_staleness": _ratio(each) for n, each in stale.items()}
    for name, each in used.items():
        shares = [(share * size, size) for share, size in each]
        found[f"{name}_codes_used"] = _ratio(shares)
    nothing = jnp.zeros((), shared_dtype())
    return dict.fromkeys(keys(tx), nothing) | found


def _ratio(each: list[Any]) -> Array:
    wide = shared_dtype()
    total = sum((jnp.asarray(x, wide) for x, _ in each), jnp.zeros((), wide))
    return total / max(sum(size for _, size in each), 1)


def _is_coded(kept: dict[str, Any]) -> bool:
    """Return whether a leaf has codes: a small one is kept as it is."""
    return not jnp.issubdtype(kept["codes"].dtype, jnp.floating)


def _used(slot: Slot, kept: dict[str, Any]) -> Array:
    """Return the share of the codes that occur in a leaf."""
    row = row_of(kept["codes"])
    row = row[:: -(-row.size // COUNTED)]
    if slot.codec.bits == 4:
        row = bytes_split(row)
    number = 2**slot.codec.bits
    there = jnp.zeros(number, shared_dtype()).at[row.astype(jnp.int32) % number].set(1)
    return jnp.mean(there)
