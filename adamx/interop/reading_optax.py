"""From the states of Optax to the one that a transformation of adamx continues from."""

import logging
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from .. import errors
from ..engine.paths import flatten, plain
from ..engine.state import State, absent
from . import optax_states as states
from .counterpart import derived, hyperparams_of, weight_after
from .nests import COUNTED
from .units import from_optax

_LOG = logging.getLogger(__name__)

STANDARD = {"mu_weight": "b1", "nu_weight": "b2"}
"""The weights of the usual averages, and the decays they follow from."""


def from_states_of_optax(
    tx: Any,
    fresh: State,
    params: Any,
    injected: Mapping[str, Any],
    saved: Any,
    known: list[Any],
) -> State:
    """Return the state of adamx for the states `known` of Optax in `saved`.

    Args:
        tx: the transformation; None if it is not known.
        fresh: its first state.
        params: the parameters.
        injected: the hyperparameters that a state around holds, if one does.
        saved: the whole state of Optax.
        known: those inside it that `optax_states` reads.

    Raises:
        ValueError: two hold the same slot of a leaf, or they have counted differently.
    """
    leaves, treedef = flatten(plain(params))
    given = injected or ({} if tx is None else hyperparams_of(tx))
    columns: dict[str, list] = {}
    numbers: dict[str, Any] = {}
    for one in known:
        read, shared = states.read(one, leaves, treedef, given)
        numbers |= shared
        if hasattr(one, states.BASE):
            numbers["z_share"] = states.share_of(one)
        for name, column in read.items():
            columns[name] = _merged(name, columns.get(name, column), column)
    columns = from_optax(tx, saved, columns)
    slots = numbers | {
        name: treedef.unflatten([absent() if x is None else x for x in column])
        for name, column in columns.items()
    }
    count = _count(saved, known)
    missing = set(fresh.slots) - set(slots)
    for name in sorted(missing):
        decay = STANDARD.get(name, "")
        if decay in injected:
            b = jnp.asarray(injected[decay], states.shared_dtype())
            slots[name] = weight_after(b, count)
    missing = set(fresh.slots) - set(slots)
    if tx is not None and missing:
        declared = {n: s for n, s in tx.slots().items() if n in missing}
        slots |= derived(declared, slots, given, count, treedef)
    _LOG.info(
        "restore: read %s of Optax as the slots %s, after %s steps.",
        ", ".join(dict.fromkeys(type(one).__name__ for one in known)),
        ", ".join(sorted(slots)),
        count,
    )
    return State(count, slots, fresh.inner)


def _merged(name: str, one: list, other: list) -> list:
    """Merge what two states hold of a slot, each for other leaves."""
    if one is other:
        return one
    twice = [a is not None and b is not None for a, b in zip(one, other, strict=True)]
    if any(twice):
        raise errors.AdamxError(
            f"restore: one state of Optax must hold the slot `{name}` of a leaf, got "
            f"two. Pass the part of `saved` that belongs to `tx`."
        )
    return [b if a is None else a for a, b in zip(one, other, strict=True)]


def _count(saved: Any, known: list[Any]) -> Any:
    found = [states.count_of(x) for x in known]
    found += [
        getattr(x, COUNTED[type(x).__name__]) for x in states.counted(saved, COUNTED)
    ]
    counts = [jnp.asarray(count) for count in found if count is not None]
    differ = sorted({int(c) for c in counts if not isinstance(c, Tracer)})
    if len(differ) > 1:
        raise errors.AdamxError(
            f"restore: the states of Optax must have counted the same steps, got "
            f"{differ}. Set them to one with optax.tree.set(saved, count=...)."
        )
    return counts[0] if counts else jnp.zeros((), jnp.int32)
