"""Restoring a saved state after constants have become arrays or schedules."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import errors
from ..engine.state import State
from ..engine.tree import shared_dtype
from .tunable import Tuned


def restore(tx: Any, saved: Any, params: Any) -> Any:
    """Convert a saved state to the form that `tx` keeps.

    If a decay was a constant when the state was saved, and is now an array, a schedule
    or tunable, the sum of the weights in its average is needed: it is computed from the
    count, `1 - β**count`, with the current β. In the opposite case the weight is
    dropped, since it follows from the count. If the saved state is not that of a
    `tunable`, the hyperparameters of `tx` are added.

    Args:
        tx: the transformation that continues from the state.
        saved: a `State`, or the state of a tunable transformation.
        params: the parameters, as for `init`.

    Raises:
        ValueError: a slot is missing or left over, or has another shape.
        TypeError: `saved` is not the state of an adamx transformation.
    """
    return _fill(tx, tx.init(params), saved)


def _fill(tx: Any, fresh: Any, saved: Any) -> Any:
    if isinstance(fresh, Tuned):
        inner = saved.inner if isinstance(saved, Tuned) else saved
        had = saved.hyperparams if isinstance(saved, Tuned) else {}
        values = {n: had.get(n, value) for n, value in fresh.hyperparams.items()}
        filled = _fill(tx._with(values), fresh.inner, inner)
        return Tuned(values, tx._scheduled(filled.count), filled)
    if isinstance(saved, Tuned):
        raise errors.AdamxError(
            f"restore: the values {sorted(saved.hyperparams)} in the saved state must "
            f"have a place in the new one, got {tx!r}. Make it tunable, or pass "
            f"saved.inner to leave them behind."
        )
    if not (isinstance(saved, State) and isinstance(fresh, State)):
        raise errors.type_error(
            "restore",
            "`saved` must be the state of an adamx transformation",
            type(saved).__name__,
            "Restore it with the structure of the transformation that saved it first.",
        )
    count = jnp.asarray(saved.count)
    declared = tx.slots()
    slots = {}
    for name, new in fresh.slots.items():
        if name in saved.slots:
            _check_alike(name, new, saved.slots[name])
            slots[name] = saved.slots[name]
        elif declared[name].from_count is not None:
            steps = count.astype(shared_dtype())
            slots[name] = declared[name].from_count(steps).astype(new.dtype)
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


def _is_weight(name: str, slots: dict[str, Any]) -> bool:
    """Return whether a slot is the weight of an average, which the count determines."""
    average = name.removesuffix("_weight").removesuffix("_square")
    return name.endswith("_weight") and average in slots


def _check_alike(name: str, new: Any, old: Any) -> None:
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (new, old)]
    if shapes[0] != shapes[1]:
        raise errors.AdamxError(
            f"restore: the slot `{name}` must have the structure and shapes of the "
            f"parameters, got {shapes[1]} for {shapes[0]}. Pass the parameters the "
            f"state was made for."
        )
