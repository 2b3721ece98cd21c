"""`adamx.restore`: a saved state in the form that a transformation keeps.

The first state of the transformation is gone through together with the saved one. Which
transformation of adamx made a state inside the wrappers of Optax, which hide theirs, is
noted while `init` runs.
"""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .. import errors
from ..engine.nested import fields_of
from ..engine.paths import plain
from ..engine.state import Slot, State
from ..engine.transformation import Transformation, noted
from ..observation.state import Observed, with_inner
from ..wrappers.around import declared, without_places
from ..wrappers.tunable import Tuned
from . import optax_states as states
from .nests import (
    INJECTED,
    as_state,
    children,
    injected,
    inside,
    is_count,
    is_empty,
    is_node,
    is_ours,
    rebuilt,
)
from .plain_states import from_plain
from .reading_optax import from_states_of_optax
from .saved_slots import Filled, SlotTarget, after, as_like, converted
from .to_optax import to_optax_state


class Target(NamedTuple):
    """What a saved state is brought into the form of.

    Attributes:
        tx: the transformation; None if it is not known, inside one of another library.
        fresh: its first state.
        params: the parameters.
        filled: what the saved state does not hold.
        made: the transformations of adamx that made states inside `fresh`, with their
            parameters and the state.
        saved_by: the transformation that saved the state, where codecs differ.
        given: the hyperparameters, where the transformation is not known.
        placeholders: whether the saved state may hold arrays that are none: Optax's.
        path: where `fresh` is, for messages.
    """

    tx: Any
    fresh: Any
    params: Any
    filled: Filled
    made: list[Any]
    saved_by: Any = None
    given: Mapping[str, Any] = MappingProxyType({})
    placeholders: bool = False
    path: str = "the state"

    def slots(self, saved: bool = False) -> Mapping[str, Slot]:
        """Return the slots of the transformation, or of the one that saved."""
        return declared(self.saved_by if saved else self.tx)

    def at(self, name: Any, fresh: Any) -> "Target":
        path = name if self.path == "the state" else f"{self.path}/{name}"
        return self._replace(fresh=fresh, path=f"{path}")

    def owned(self) -> "Target":
        """Return the target with the transformation that made its state."""
        for tx, params, state in self.made:
            if state is self.fresh:
                return self._replace(tx=tx, params=params)
        return self


def restore(
    tx: Any, saved: Any, params: Any, *, missing: str = "raise", saved_by: Any = None
) -> Any:
    """Convert a saved state to the form that `tx` keeps.

        state = adamx.restore(tx, checkpointer.restore(path), params)

    `saved` is a state of adamx, or one of Optax with the same algorithm, alone or
    inside others (`chain`, `masked`, `partition`, `inject_hyperparams`, `MultiSteps`,
    `apply_if_finite`) and in any other container. A state of adamx may have become the
    dicts and lists that Orbax returns without a target, and so may one of Optax, which
    is known by its class or by its fields; what was read of it is logged (`logging`,
    level INFO). `tx` may be a transformation of Optax around some of adamx.

    - Arrays are found by the paths of their parameters.
    - Numbers are brought into the dtypes that `tx` keeps, the count into int32.
    - What another codec stored, or none, is decoded and encoded again. Codecs of
      several arrays name their form in the state.
    - If a decay was a constant when the state was saved, and is now an array, a
      schedule or tunable, the sum of the weights in its average is computed from the
      count, `1 - β**count`, with the current β. In the opposite case it is dropped.
    - If the saved state is not that of a `tunable`, the hyperparameters of `tx` are
      added.
    - What `adamx.observe` has seen is kept if it has the same metrics, else begun anew.
    - Parts that keep nothing may have been added or removed.
    - A leaf of which `tx` keeps no slot, since it is frozen or masked now, loses what
      was saved of it; a warning lists that.
    - Arrays stay on the devices where they are, unless `tx` says where its state is
      kept (`zero1`, `offload`): then they are put there.
    - Optax's states have the same moments, but for the units that
      `adamx.interop.units` names. Where Optax counts no steps, as in `optax.sgd` with a
      constant rate, the count is 0.

    Args:
        tx: the transformation that continues from the state.
        saved: the state.
        params: the parameters, as for `init`.
        missing: what to do where the state does not hold what `tx` keeps: "raise", or
            "init" to begin it anew. A warning then lists all of it.
        saved_by: the transformation that saved it, if a codec of it differs and the
            state does not name that: it was saved before the form was kept, or the
            codec is your own.

    Raises:
        ValueError: a slot or a leaf is missing or left over, or has another shape; a
            codec is not known; the counts of Optax differ.
        TypeError: `saved` holds no state of adamx, nor one of Optax that it knows.
    """
    if missing not in ("raise", "init"):
        raise errors.AdamxError(
            f"restore: `missing` must be 'raise' or 'init', got {missing!r}. With "
            f"'init' what the saved state does not hold is begun anew."
        )
    with noted() as made:
        fresh = tx.init(params)
    saved = _unwrapped(saved)
    if not inside(fresh, is_ours) and not all(map(is_count, inside(saved, is_ours))):
        return to_optax_state(tx, saved, params, saved_by=saved_by)
    filled = Filled(missing == "init")
    known = tx if isinstance(tx, Transformation) else None
    to = Target(known, fresh, params, filled, made, saved_by)
    new = _restored(to, saved)
    if filled.listed:
        warnings.warn(
            f"restore: the saved state did not hold {'; '.join(filled.listed)}. It is "
            f"begun anew, as tx.init does.",
            stacklevel=2,
        )
    if filled.left:
        warnings.warn(
            f"restore: `tx` keeps nothing in the place of {'; '.join(filled.left)}, "
            f"which the saved state holds. It is left out.",
            stacklevel=2,
        )
    return jax.tree.map(_put_like, new, fresh) if _has_places(tx) else new


def _has_places(tx: Any) -> bool:
    """Return whether `tx` says where its state is kept: `zero1`, `offload`."""
    return isinstance(tx, Transformation) and without_places(tx) != tx


def _put_like(x: Any, fresh: Any) -> Any:
    """Put a restored array where `init` begins it."""
    known = isinstance(fresh, jax.Array) and not isinstance(fresh, Tracer)
    return jax.device_put(x, fresh.sharding) if known else x


def _unwrapped(saved: Any) -> Any:
    """Return a state without boxes, out of the state of an `nnx.Optimizer`."""
    saved = plain(saved)
    held = isinstance(saved, Mapping) and "opt_state" in saved
    return saved["opt_state"] if held and set(saved) <= {"step", "opt_state"} else saved


def _restored(to: Target, saved: Any) -> Any:
    """Go through the new state and the saved one together."""
    fresh = to.fresh
    if isinstance(fresh, State | Tuned):
        to = to.owned()._replace(placeholders=not inside(saved, is_ours))
        return _filled(to, _as_ours(to, saved))
    if isinstance(fresh, Observed):
        held = fields_of(saved, Observed)
        there = saved if held is None else held["inner"]
        return with_inner(fresh, held, _restored(to.at("inner", fresh.inner), there))
    if not is_node(fresh):
        return as_like(f"`{to.path}`", fresh, saved) if _is_array(fresh) else saved
    if is_empty(fresh) and (saved is None or is_empty(saved)):
        return fresh
    names, values = children(fresh)
    there = _aligned(to, names, values, saved)
    if type(fresh).__name__ in INJECTED and "hyperparams" in there:
        kept = injected(fresh.hyperparams, there["hyperparams"])
        there["hyperparams"], to = kept, to._replace(given=kept)
    new = []
    for name, value in zip(names, values, strict=True):
        if name in there:
            new.append(_restored(to.at(name, value), there[name]))
        else:
            if not is_empty(value):
                held = (
                    f"{type(saved).__name__} with {errors.listed(there) or 'nothing'}"
                )
                to.filled.note(f"`{to.at(name, value).path}`", held)
            new.append(value)
    return rebuilt(fresh, names, new)


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype")


def _aligned(to: Target, names: Any, values: list, saved: Any) -> dict[Any, Any]:
    """Return what was saved of each child of a state, by the name it has now."""
    full = [n for n, v in zip(names, values, strict=True) if not is_empty(v)]
    if is_ours(saved):  # it was saved without what is around it now
        holders = [n for n, v in zip(names, values, strict=True) if inside(v, is_ours)]
        if len(holders) == 1:
            return {holders[0]: saved}
    if is_node(saved):
        given, there = children(saved)
        by_name = {str(name): child for name, child in zip(given, there, strict=True)}
        if hasattr(to.fresh, "_fields") or isinstance(to.fresh, Mapping):
            if set(by_name) <= set(map(str, names)):
                return {n: by_name[str(n)] for n in names if str(n) in by_name}
        else:
            kept = [x for x in there if not (x is None or is_empty(x))]
            if len(kept) <= len(full):
                matched = _in_order(names, values, kept)
                if matched is not None:
                    return matched
    else:
        given = ()
    raise errors.AdamxError(
        f"restore: `saved` must be built like the state of `tx`, got "
        f"{type(saved).__name__} with {list(given)} for {type(to.fresh).__name__} with "
        f"{list(names)} at {to.path}. Wrap the transformation as the one that saved it "
        f"was wrapped."
    )


def _in_order(names: Any, values: list, kept: list) -> dict[Any, Any] | None:
    """Match the parts of a chain that keep something, those of one kind in order.

    One that is left is of the last part, if nothing else is: None if more are left.
    """
    full = [(n, v) for n, v in zip(names, values, strict=True) if not is_empty(v)]
    if len(full) == len(kept):
        return {name: old for (name, _), old in zip(full, kept, strict=True)}
    matched: dict[Any, Any] = {}
    for name, value in full:
        if kept and _kind(kept[0]) == _kind(value):
            matched[name] = kept.pop(0)
    if not kept:
        return matched
    last = full[-1][0]
    return None if len(kept) > 1 or last in matched else matched | {last: kept[0]}


def _kind(x: Any) -> Any:
    if is_ours(x):
        return "adamx"
    return frozenset(map(str, children(x)[0])) if is_node(x) else None


def _as_ours(to: Target, saved: Any) -> Any:
    """Return the one state of adamx in `saved`, or that of Optax as one."""
    ours = [saved] if is_ours(saved) else inside(saved, is_ours)
    fresh = to.fresh.inner if isinstance(to.fresh, Tuned) else to.fresh
    if fresh.slots and all(map(is_count, ours)):
        ours = []  # of schedules of Optax
    if len(ours) == 1:
        return as_state(ours[0])
    if ours:
        raise errors.AdamxError(
            f"restore: `saved` must hold one state of adamx, got {len(ours)} in "
            f"{type(saved).__name__}. Pass the part of it that belongs to `tx`."
        )
    known = states.every(saved)
    if not known:
        saved = from_plain(saved, to.params)
        known = states.every(saved)
    if not known:
        raise errors.type_error(
            "restore",
            "`saved` must be the state of a transformation of adamx, or of Optax with "
            "the same algorithm",
            type(saved).__name__,
            "Restore it with the structure of the transformation that saved it first.",
        )
    return from_states_of_optax(to.tx, fresh, to.params, to.given, saved, known)


# ---- of adamx ------------------------------------------------------------------


def _filled(to: Target, saved: Any) -> Any:
    """Return a saved state of adamx in the form of `to`."""
    if isinstance(to.fresh, Tuned):
        return _tuned(to, saved)
    if isinstance(saved, Tuned):
        raise errors.AdamxError(
            f"restore: the values {sorted(saved.hyperparams)} in the saved state must "
            f"have a place in the new one, got {to.tx!r}. Make it tunable, or pass "
            f"saved.inner to leave them behind."
        )
    count = jnp.asarray(saved.count).astype(jnp.int32)
    known, before, slots = to.slots(), to.slots(saved=True), {}
    for name, new in to.fresh.slots.items():
        slot = known.get(name, Slot())
        if saved.slots.get(name) is not None:
            given = before.get(name), to.placeholders
            target = SlotTarget(name, slot, new, to.params, *given)
            slots[name] = converted(target, saved.slots[name], to.filled)
        elif slot.from_count is not None:
            slots[name] = after(slot, count).astype(new.dtype)
        else:
            if not is_empty(new):
                to.filled.note(f"the slot `{name}`", f"{sorted(saved.slots)}")
            slots[name] = new
    over = saved.slots.keys() - slots.keys()
    left = sorted(name for name in over if not _is_weight(name, slots))
    states_left = sorted(
        name
        for name, state in saved.inner.items()
        if name not in to.fresh.inner and not (state is None or is_empty(state))
    )
    if left or states_left:
        raise errors.AdamxError(
            f"restore: everything saved must have a place, got slots {left} and states "
            f"{states_left} too many. Restore with the algorithm that saved them, or "
            f"take them out of `saved`."
        )
    return State(count, slots, _inner(to, saved.inner))


def _tuned(to: Target, saved: Any) -> Tuned:
    tx, fresh = to.tx, to.fresh
    inner = as_state(saved.inner) if isinstance(saved, Tuned) else saved
    had = saved.hyperparams if isinstance(saved, Tuned) else {}
    values = {
        n: jnp.asarray(had.get(n, value), value.dtype)
        for n, value in fresh.hyperparams.items()
    }
    made = None if tx is None else tx._with(values)
    filled = _filled(to._replace(tx=made, fresh=fresh.inner), inner)
    given = fresh.scheduled if tx is None else tx._scheduled(tx.inner.steps(filled))
    return Tuned(values, given, filled)


def _inner(to: Target, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of the external transformations of a chain."""
    inner = {}
    for name, fresh in to.fresh.inner.items():
        if is_empty(fresh):
            inner[name] = fresh
        elif name in saved:
            target = to.at(f"inner/{name}", fresh)._replace(tx=None, saved_by=None)
            inner[name] = _restored(target, saved[name])
        else:
            to.filled.note(f"the state `inner/{name}`", f"{sorted(saved)}")
            inner[name] = fresh
    return inner


def _is_weight(name: str, slots: dict[str, Any]) -> bool:
    """Return whether a slot is the weight of an average, which the count determines."""
    average = name.removesuffix("_weight").removesuffix("_square")
    return name.endswith("_weight") and average in slots
