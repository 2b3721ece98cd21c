"""`adamx.restore`: from saved states of adamx or Optax; and back to those of Optax."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from .. import errors
from ..engine.paths import flatten
from ..engine.slots import join
from ..engine.state import Slot, State, absent
from ..engine.transformation import Transformation
from ..wrappers.restore import Target, fill
from ..wrappers.tunable import Tuned
from . import optax_states as states
from .counterpart import derived, hyperparams_of, weight_after
from .units import from_optax, to_optax

COUNTED = {
    "InjectStatefulHyperparamsState": "count",
    "InjectHyperparamsState": "count",
    "WrappedScheduleState": "count",
    "MultiStepsState": "gradient_step",
}
STANDARD = {"mu_weight": "b1", "nu_weight": "b2"}
"""The weights of the usual averages, and the decays they follow from."""

INJECTED = ("InjectStatefulHyperparamsState", "InjectHyperparamsState")
"""Other states of Optax that count the steps of what is inside, and their field."""


def restore(tx: Any, saved: Any, params: Any, *, saved_by: Any = None) -> Any:
    """Convert a saved state to the form that `tx` keeps.

    `saved` is a state of adamx, or one of Optax with the same algorithm, alone or
    inside others (`chain`, `masked`, `partition`, `inject_hyperparams`, `MultiSteps`,
    `apply_if_finite`). If `tx` is a transformation of Optax around some of adamx, the
    two states are gone through together.

    - Numbers are brought into the dtypes that `tx` keeps, the count into int32.
    - A slot that another codec stored, or none, is decoded and encoded again.
    - If a decay was a constant when the state was saved, and is now an array, a
      schedule or tunable, the sum of the weights in its average is computed from the
      count, `1 - β**count`, with the current β. In the opposite case it is dropped.
    - If the saved state is not that of a `tunable`, the hyperparameters of `tx` are
      added.
    - Optax's states have the same moments, but for the units that
      `adamx.interop.units` names. Where Optax counts no steps, as in `optax.sgd` with a
      constant rate, the count is 0.

    Args:
        tx: the transformation that continues from the state.
        saved: the state.
        params: the parameters, as for `init`.
        saved_by: the transformation that saved it, if a codec of it differs.

    Raises:
        ValueError: a slot is missing or left over, has another shape, or was stored by
            a codec and `saved_by` is not given; the counts of Optax differ.
        TypeError: `saved` holds no state of adamx, nor one of Optax that it knows.
    """
    fresh = tx.init(params)
    to = Target(tx if isinstance(tx, Transformation) else None, fresh, params, saved_by)
    if not _inside(fresh, _is_ours) and _inside(saved, _is_ours):
        return to_optax_state(tx, saved, params, saved_by=saved_by)
    return _restored(to, saved)


def _is_ours(x: Any) -> bool:
    return isinstance(x, State | Tuned)


def _inside(state: Any, kind: Callable[[Any], bool]) -> list[Any]:
    """Return the outermost states of a kind inside others."""
    return [x for x in jax.tree.leaves(state, is_leaf=kind) if kind(x)]


def _restored(to: Target, saved: Any) -> Any:
    """Go through the new state and the saved one together."""
    fresh = to.fresh
    if _is_ours(fresh):
        to = to._replace(params=_masked_like(fresh, to.params))
        return fill(to, _as_ours(to, saved))
    if type(fresh).__name__ in INJECTED and type(saved) is type(fresh):
        kept = _hyperparams(fresh.hyperparams, saved.hyperparams)
        saved, to = saved._replace(hyperparams=kept), to._replace(given=kept)
    if isinstance(fresh, tuple | list | Mapping):
        names, values = _children(fresh)
        given, there = _children(saved) if _is_node(saved) else ((), ())
        if tuple(names) != tuple(given):
            raise errors.AdamxError(
                f"restore: `saved` must be built like the state of `tx`, got "
                f"{type(saved).__name__} with {list(given)} for "
                f"{type(fresh).__name__} with {list(names)}. Wrap the transformation "
                f"as the one that saved it was wrapped."
            )
        pairs = zip(values, there, strict=True)
        new = [_restored(to._replace(fresh=a), b) for a, b in pairs]
        return _rebuilt(fresh, names, new)
    return _leaf(fresh, saved)


def _masked_like(fresh: Any, params: Any) -> Any:
    """Return the parameters masked as they are in the state of a masked optimizer."""
    slots = (fresh.inner if isinstance(fresh, Tuned) else fresh).slots
    treedef = flatten(params)[1]
    for tree in slots.values():
        for one in (tree, *(tree.values() if isinstance(tree, dict) else ())):
            try:
                column = treedef.flatten_up_to(one)
            except (ValueError, TypeError, KeyError):
                continue
            pairs = zip(column, flatten(params)[0], strict=True)
            shown = [m if isinstance(m, optax.MaskedNode) else p for m, p in pairs]
            return treedef.unflatten(shown)
    return params


def _hyperparams(fresh: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return saved hyperparameters by the names that the new transformation has."""
    over = [n for n in saved if n not in fresh and bool(jnp.any(saved[n] != 0))]
    if over:
        raise errors.AdamxError(
            f"restore: the saved hyperparameters that are not 0 must have a place in "
            f"`tx`, got {over} for {sorted(fresh)}. Inject those into the optimizer."
        )
    return {name: saved.get(name, fresh[name]) for name in fresh}


def _is_node(x: Any) -> bool:
    return isinstance(x, tuple | list | Mapping)


def _children(x: Any) -> tuple[Any, list[Any]]:
    if isinstance(x, Mapping):
        return sorted(x, key=str), [x[name] for name in sorted(x, key=str)]
    if hasattr(x, "_fields"):
        return sorted(x._fields), [getattr(x, name) for name in sorted(x._fields)]
    return range(len(x)), list(x)


def _rebuilt(like: Any, names: Any, values: list[Any]) -> Any:
    if hasattr(like, "_fields"):
        return type(like)(**dict(zip(names, values, strict=True)))
    if isinstance(like, Mapping):
        make: Any = type(like)
        return make(zip(names, values, strict=True))
    return values if isinstance(like, list) else tuple(values)


def _leaf(fresh: Any, saved: Any) -> Any:
    if not hasattr(fresh, "dtype"):
        return saved
    if jnp.shape(fresh) != jnp.shape(saved):
        raise errors.AdamxError(
            f"restore: every array saved must have the shape it has in the state of "
            f"`tx`, got {jnp.shape(saved)} for {jnp.shape(fresh)}. Pass the parameters "
            f"the state was made for."
        )
    if jnp.issubdtype(fresh.dtype, jax.dtypes.prng_key):
        return saved
    return jnp.asarray(saved).astype(fresh.dtype)


# ---- from Optax ----------------------------------------------------------------


def _as_ours(to: Target, saved: Any) -> Any:
    """Return the one state of adamx in `saved`, or that of Optax as one."""
    ours = [saved] if _is_ours(saved) else _inside(saved, _is_ours)
    if len(ours) == 1:
        return ours[0]
    if ours:
        raise errors.AdamxError(
            f"restore: `saved` must hold one state of adamx, got {len(ours)} in "
            f"{type(saved).__name__}. Pass the part of it that belongs to `tx`."
        )
    known = states.every(saved)
    if not known:
        raise errors.type_error(
            "restore",
            "`saved` must be the state of a transformation of adamx, or of Optax with "
            "the same algorithm",
            type(saved).__name__,
            "Restore it with the structure of the transformation that saved it first.",
        )
    return _from_optax(to, saved, known)


def _from_optax(to: Target, saved: Any, known: list[Any]) -> State:
    fresh = to.fresh.inner if isinstance(to.fresh, Tuned) else to.fresh
    leaves, treedef = flatten(to.params)
    given = to.given if to.tx is None else hyperparams_of(to.tx)
    columns: dict[str, list] = {}
    numbers: dict[str, Any] = {}
    for one in known:
        read, shared = states.read(one, leaves, treedef, given)
        numbers |= shared
        if hasattr(one, states.BASE):
            numbers["z_share"] = states.share_of(one)
        for name, column in read.items():
            columns[name] = _merged(name, columns.get(name, column), column)
    columns = from_optax(to.tx, saved, columns)
    slots = numbers | {
        name: treedef.unflatten([absent() if x is None else x for x in column])
        for name, column in columns.items()
    }
    count = _count(saved, known)
    missing = set(fresh.slots) - set(slots)
    if to.tx is not None and missing:
        declared = {n: s for n, s in to.tx.slots().items() if n in missing}
        slots |= derived(declared, slots, given, count, treedef)
    for name in missing if to.tx is None else ():
        decay = STANDARD.get(name, "")
        if decay in given:
            b = jnp.asarray(given[decay], states.shared_dtype())
            slots[name] = weight_after(b, count)
    return State(
        count, {n: _placed(n, x, fresh) for n, x in slots.items()}, fresh.inner
    )


def _placed(name: str, slot: Any, fresh: State) -> Any:
    """Return a slot without what the leaves of `tx` do not have."""
    if name not in fresh.slots or _shapes(slot) == _shapes(fresh.slots[name]):
        return slot

    def one(new: Any, old: Any) -> Any:
        return new if new.dtype == bool else old

    try:
        return jax.tree.map(one, fresh.slots[name], slot)
    except (ValueError, TypeError):
        return slot  # its codec has other trees


def _shapes(tree: Any) -> Any:
    return jax.tree.map(jnp.shape, tree)


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


# ---- to Optax ------------------------------------------------------------------


def to_optax_state(
    optax_tx: Any, state: Any, params: Any, *, saved_by: Any = None
) -> Any:
    """Convert a state of adamx to one that a transformation of Optax continues from.

    Args:
        optax_tx: the transformation of Optax, of the same algorithm; inside others too.
        state: the state of adamx, alone or inside others.
        params: the parameters, as for `init`.
        saved_by: the transformation of adamx that made the state: needed where a codec
            stores a slot, or Optax keeps it in other units (`rmsprop` with momentum,
            `rprop`, `adafactor` with momentum, `prodigy`).

    Raises:
        ValueError: Optax's state has a moment that the state does not hold.
        TypeError: `state` holds no state of adamx, or several.
    """
    return _towards(optax_tx.init(params), state, params, saved_by)


def _towards(fresh: Any, state: Any, params: Any, saved_by: Any) -> Any:
    """Go through the state of Optax and that with one of adamx inside together."""
    if _is_ours(state):
        one = state.inner if isinstance(state, Tuned) else state
        return _converted(fresh, one, params, saved_by)
    ours = _inside(state, _is_ours)
    if type(fresh).__name__ in INJECTED and type(state) is type(fresh):
        kept = _hyperparams(fresh.hyperparams, state.hyperparams)
        state = state._replace(hyperparams=kept)
    if _is_node(fresh) and _is_node(state):
        names, values = _children(fresh)
        given, there = _children(state)
        if tuple(names) == tuple(given):
            pairs = zip(values, there, strict=True)
            new = [_towards(a, b, params, saved_by) for a, b in pairs]
            return _rebuilt(fresh, names, new)
    elif not ours:
        return _leaf(fresh, state)
    if len(ours) != 1:
        raise errors.type_error(
            "to_optax_state",
            "`state` must hold one state of adamx",
            f"{len(ours)} in {type(state).__name__}",
            "Pass the part of it that belongs to the optimizer.",
        )
    return _towards(fresh, ours[0], params, saved_by)


def _converted(fresh: Any, one: State, params: Any, saved_by: Any) -> Any:
    leaves, treedef = flatten(params)
    declared = {} if saved_by is None else saved_by.slots()
    given = {} if saved_by is None else hyperparams_of(saved_by)
    columns, numbers = _plain(one, declared, leaves, treedef)
    columns = to_optax(saved_by, fresh, columns)
    count = jnp.asarray(one.count)

    def new(x: Any) -> Any:
        try:
            return states.write(x, leaves, treedef, given, columns, numbers, count)
        except KeyError as error:
            raise errors.AdamxError(
                f"to_optax_state: the state must hold what {type(x).__name__} holds, "
                f"got {sorted(one.slots)} without {error}. Pass the optimizer of Optax "
                f"with the same algorithm, and saved_by= the one of adamx."
            ) from None

    return states.rebuilt(fresh, new, lambda x: _counting(x, count))


def _counting(x: Any, count: Any) -> Any:
    name = COUNTED.get(type(x).__name__)
    return x if name is None else x._replace(**{name: count.astype(jnp.int32)})


def _plain(
    state: State, declared: Mapping[str, Slot], leaves: list, treedef: Any
) -> tuple[dict[str, list], dict[str, Any]]:
    """Return the slots as columns of arrays, and the numbers of the tree."""
    columns: dict[str, list] = {}
    numbers: dict[str, Any] = {}
    for name, kept in state.slots.items():
        slot = declared.get(name, Slot())
        if slot.codec is not None:
            column = join(slot, kept, treedef.flatten_up_to)
            columns[name] = [
                None if p is None else slot.codec.decode(one, p.shape)
                for p, one in zip(leaves, column, strict=True)
            ]
            continue
        if hasattr(kept, "dtype") and not kept.ndim and treedef.num_leaves != 1:
            numbers[name] = kept
            continue
        try:
            found = treedef.flatten_up_to(kept)
            hidden = optax.MaskedNode
            columns[name] = [None if isinstance(x, hidden) else x for x in found]
        except (ValueError, TypeError, KeyError):
            raise errors.AdamxError(
                f"to_optax_state: the slot `{name}` must have the structure of the "
                f"parameters, got {jax.tree.structure(kept)}. If a codec stores it, "
                f"pass saved_by= the transformation that does."
            ) from None
        if hasattr(kept, "dtype"):
            numbers[name] = kept
    return columns, numbers
