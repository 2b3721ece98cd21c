"""What the slots of a transformation cost, in bytes for each parameter."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ..engine.chain import Chain, External
from ..engine.slots import begin
from ..engine.state import Slot, is_absent
from ..engine.transformation import Transformation
from ..errors import AdamxError
from ..storage.plan import MemoryPlan
from ..wrappers.around import Around, inner_of, without_places

MATRIX = (1024, 1024)
"""The float32 matrix whose state is counted where no parameters are given."""

SCALAR = "one number for the tree"


@dataclasses.dataclass(frozen=True)
class SlotCost:
    """A slot: how it is kept, the bytes for each parameter, and of which leaves."""

    slot: str
    kept: str
    bytes: float
    leaves: str = ""


def _size(tree: Any) -> float:
    leaves = jax.tree.leaves(tree)
    size = sum(math.prod(x.shape) * jnp.dtype(x.dtype).itemsize for x in leaves)
    return size / math.prod(MATRIX)


def _matrix() -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(MATRIX, jnp.float32)


def of_matrix(tx: Any) -> list[SlotCost]:
    """Return the cost of each slot on a matrix that has it, whatever its masks."""
    return list(_of_matrix(tx))


def _of_matrix(tx: Any) -> Iterator[SlotCost]:
    own = tx.own_slots() if isinstance(tx, Around) else {}
    if not hasattr(tx, "slots"):  # the state is one of Optax
        state = jax.eval_shape(tx.init, _matrix())
        yield SlotCost("the state", "as Optax keeps it", _size(state))
        return
    for name, slot in {**own, **tx.slots()}.items():
        yield _of_slot(name, slot)
    yield from _foreign(tx)


def _of_slot(name: str, slot: Slot) -> SlotCost:
    if slot.shared:
        return SlotCost(name, SCALAR, 0.0)
    alone = dataclasses.replace(slot, masks=(), stacked_by=())
    kept = jax.eval_shape(lambda p: begin(alone, p, frozenset(), ""), _matrix())
    leaves = " and ".join(f"of {mask!r}" for mask in slot.masks)
    if all(map(is_absent, jax.tree.leaves(kept, is_leaf=is_absent))):
        return SlotCost(name, "nothing", 0.0, leaves)
    how = str(jax.tree.leaves(kept)[0].dtype)
    return SlotCost(name, repr(slot.codec) if slot.codec else how, _size(kept), leaves)


def _foreign(tx: Any) -> Iterator[SlotCost]:
    """Yield what transformations of other libraries keep, each as one slot."""
    for part in tx.parts if isinstance(tx, Chain) else ():
        if isinstance(part, External) and not isinstance(part.tx, Transformation):
            state = jax.eval_shape(part.tx.init, _matrix())
            yield SlotCost(part.name, "as it keeps it", _size(state))
        elif isinstance(part, External):
            yield from _of_matrix(part.tx)
    for inner in [] if isinstance(tx, Chain) else inner_of(tx):
        yield from _foreign(inner)


def total_of_matrix(tx: Any) -> float | None:
    """Return the bytes for each parameter of a hidden matrix.

    None if a mask must know the tree of parameters.
    """
    try:
        state = jax.eval_shape(without_places(tx).init, _matrix())
    except AdamxError:
        return None
    return _size([x for x in jax.tree.leaves(state) if x.ndim])


def of_plan(plan: MemoryPlan) -> list[SlotCost]:
    """Add up the rows of a memory plan by slot."""
    found: dict[str, SlotCost] = {}
    for row in plan.rows:
        name = row.slot or row.part
        size = row.bytes / max(plan.parameters, 1)
        before = found.get(name, SlotCost(name, "", 0.0))
        kinds = dict.fromkeys(filter(None, (*before.kept.split("; "), row.kept)))
        if len(kinds) > 1:
            kinds.pop("nothing", None)
        found[name] = SlotCost(name, "; ".join(kinds), before.bytes + size)
    return list(found.values())
