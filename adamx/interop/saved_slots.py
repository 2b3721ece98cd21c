"""Reading the slots of a saved state, and bringing them into the form that is kept.

A saved slot is found by the paths of the parameters, whatever containers it has become:
Orbax without a target returns dicts and lists. Which codec stored it is in the state
(`engine/slot_trees.py`), or was, before that, known to the caller only.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from .. import errors
from ..engine.divisions import pieces_of
from ..engine.leaf_functions import Form
from ..engine.paths import flatten, leaves_by_path
from ..engine.slot_trees import FORM, FORM_VERSION, column_of, with_columns
from ..engine.slots import encoded, join, labels, shape_of
from ..engine.state import Absent, Slot, is_absent
from ..engine.tree import shared_dtype
from ..numerics.random_bits import key_of
from ..numerics.sharding import is_divided, unsharded
from ..storage import BlockMean, Blockwise, RowColumnMeans
from ..storage.forms import codec_of

_PARTS = tuple(set(codec.parts) for codec in (Blockwise, RowColumnMeans))


class Filled:
    """What a saved state did not hold: raised as an error, or begun anew and listed."""

    def __init__(self, begin: bool) -> None:
        self.begin = begin
        self.listed: list[str] = []
        self.left: list[str] = []  # saved, but `tx` keeps nothing in its place

    def note(self, what: str, held: str) -> None:
        """Note that `what` is not in the saved state, which holds `held`."""
        if not self.begin:
            raise errors.AdamxError(
                f"restore: the saved state must hold {what}, got {held}. Pass "
                f"missing='init' to begin it anew, or start afresh with "
                f"tx.init(params)."
            )
        self.listed.append(what)


class SlotTarget(NamedTuple):
    """The slot that a saved one is brought into the form of.

    Attributes:
        name: its name.
        slot: its declaration.
        fresh: its first value.
        params: the parameters.
        saved_by: the declaration of the transformation that saved it, if it is given.
        placeholders: whether arrays without a place are none, as in Optax's states.
        where: the function that reads it, for messages.
    """

    name: str
    slot: Slot
    fresh: Any
    params: Any
    saved_by: Slot | None = None
    placeholders: bool = False
    where: str = "restore"


def after(slot: Slot, count: Any) -> Any:
    """Return a slot that follows from the count, after `count` steps."""
    function: Any = slot.from_count
    counted = count.astype(shared_dtype())
    # 0**0 is no number by logarithms: before the first step it is its start
    value = function(jnp.maximum(counted, 1))
    return jnp.where(count > 0, value, jnp.asarray(slot.init, counted.dtype))


def converted(to: SlotTarget, saved: Any, filled: Filled) -> Any:
    """Return a saved slot as `to` keeps it.

    Raises:
        ValueError: a leaf is missing or has another shape; an array belongs to no
            parameter; what stored it is not known.
    """
    if to.slot.shared:
        return as_like(f"the slot `{to.name}`", to.fresh, saved)
    codec, columns = columns_of(to, saved)
    fresh = join(to.slot, to.fresh, lambda tree: column_of(tree, to.params))
    masks = dict.fromkeys([*to.slot.masks, *(mask for mask, _ in to.slot.stacked_by)])
    selected = [(mask, mask.resolve(to.params)) for mask in masks]
    named = labels(to.slot, to.params)
    made = []
    for i, ((path, p), new) in enumerate(
        zip(leaves_by_path(to.params), fresh, strict=True)
    ):
        old = {part: column[i] for part, column in columns.items()}
        if p is None or _is_nothing(new):
            there = [x for x in old.values() if x is not None and jnp.size(x)]
            if there and not to.placeholders:
                filled.left.append(f"the slot `{to.name}` of `{path}`")
            made.append(new)
        elif all(x is None for x in old.values()):
            if p.size:
                held = f"it for {errors.listed(_held(to, columns)) or 'no parameter'}"
                filled.note(f"the slot `{to.name}` of `{path}`", held)
            made.append(new)
        else:
            chosen = named[i].union(mask for mask, found in selected if found[i])
            made.append(_leaf(to, codec, new, old, path, p, chosen))
    return with_columns(to.slot, to.fresh, made)


def _is_nothing(new: Any) -> bool:
    parts = new.values() if isinstance(new, dict) else [new]
    return all(map(is_absent, parts))


def _held(to: SlotTarget, columns: dict[str, list]) -> list[str]:
    paths = [path for path, _ in leaves_by_path(to.params)]
    return [
        path
        for i, path in enumerate(paths)
        if any(column[i] is not None for column in columns.values())
    ]


# ---- finding -----------------------------------------------------------------------


def columns_of(to: SlotTarget, saved: Any) -> tuple[Any, dict[str, list]]:
    """Return the codec that stored a slot, and a column for each of its parts.

    Without a codec there is one column, of the part "".
    """
    codec = _codec(to, saved)
    if codec is None or codec.parts == ("",):
        return codec, {"": _column(to, saved)}
    absent = {part for part in codec.parts if not _has(saved, part)}
    if absent == set(codec.parts):
        raise errors.AdamxError(
            f"{to.where}: the slot `{to.name}` was stored by {codec!r}, so it must "
            f"hold {', '.join(codec.parts)}, got {errors.listed(saved)}. Pass "
            f"saved_by= the transformation that stored it."
        )
    nothing = [None] * flatten(to.params)[1].num_leaves
    return codec, {
        part: nothing if part in absent else _column(to, saved[part])
        for part in codec.parts
    }


def _has(saved: Any, part: str) -> bool:
    return isinstance(saved, Mapping) and saved.get(part) is not None


def _codec(to: SlotTarget, saved: Any) -> Any:
    """Return the codec that stored a slot; None if it is kept as it is."""
    known = [to.slot.codec, None if to.saved_by is None else to.saved_by.codec]
    names = {name for name in saved if name != FORM} if _is_mapping(saved) else set()
    form = saved.get(FORM) if _is_mapping(saved) else None
    paths = {path.split("/")[0] for path, _ in leaves_by_path(to.params)}
    if _is_mapping(form) and form and FORM not in paths:
        ((text, version),) = form.items()
        if not isinstance(version, Tracer) and int(version) > FORM_VERSION:
            raise errors.AdamxError(
                f"{to.where}: the form of the slot `{to.name}` must have a version up "
                f"to {FORM_VERSION}, got {int(version)}. It was saved by a newer "
                f"adamx: install that."
            )
        named = [x for x in known if x is not None and x.form() == text]
        codec = named[0] if named else codec_of(text)
        if codec is None:
            raise errors.AdamxError(
                f"{to.where}: the slot `{to.name}` must have been stored by a codec of "
                f"adamx.storage or of `tx`, got {text}. Pass saved_by= the "
                f"transformation that stored it."
            )
        return codec
    if to.saved_by is not None:
        return to.saved_by.codec
    if to.slot.codec is not None and names == set(to.slot.codec.parts) - {""}:
        return to.slot.codec  # saved before the form was kept
    if any(names and names <= parts for parts in _PARTS) and not names & paths:
        raise errors.AdamxError(
            f"{to.where}: the slot `{to.name}` was stored by a codec that the state "
            f"does not name, got {', '.join(sorted(names))}. Pass saved_by= the "
            f"transformation that stored it."
        )
    # the means of blocks are kept without a form: they are smaller than the slot
    return to.slot.codec if isinstance(to.slot.codec, BlockMean) else None


def _is_mapping(x: Any) -> bool:
    return isinstance(x, Mapping)


def _column(to: SlotTarget, tree: Any) -> list:
    """Return the arrays of a saved tree in the order of the parameters, by path."""

    def is_hidden(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode | Absent) or (_is_mapping(x) and not x)

    found = {
        path.removesuffix("/value"): x
        for path, x in leaves_by_path(tree, is_hidden)
        if not (x is None or is_hidden(x) or is_absent(x))
    }
    paths = [path.removesuffix("/value") for path, _ in leaves_by_path(to.params)]
    over = sorted(found.keys() - set(paths))
    if over:
        raise errors.AdamxError(
            f"{to.where}: the slot `{to.name}` must have the structure and shapes of "
            f"the parameters, got an array at {errors.listed(over)}, where the "
            f"parameters are {errors.listed(paths)}. Pass the parameters the state was "
            f"made for."
        )
    return [found.get(path) for path in paths]


# ---- converting ------------------------------------------------------------------


def _leaf(
    to: SlotTarget,
    codec: Any,
    new: Any,
    old: dict[str, Any],
    path: str,
    p: Any,
    chosen: frozenset,
) -> Any:
    """Return one leaf, read as `codec` stored it and encoded as `to.slot` is.

    `chosen` are the masks of the slot that select the leaf.
    """
    slot = to.slot
    where = f"the slot `{to.name}` of `{path}`"
    there = new if isinstance(new, dict) else {"": new}
    stored = slot.codec if codec is None else codec
    if _are_equal(stored, slot.codec) and _shapes(old) == _shapes(there):
        cast = {part: _cast(where, there[part], x) for part, x in old.items()}
        return cast if isinstance(new, dict) else cast[""]
    kept_as_is = slot.codec is None
    shape = there[""].shape if kept_as_is else shape_of(slot, p, chosen, path)
    if codec is None or (codec.parts == ("",) and jnp.shape(old[""]) == shape):
        value = jnp.asarray(old[""])
    else:
        parts = {n: Absent() if x is None else jnp.asarray(x) for n, x in old.items()}
        try:
            value = codec.decode(parts, shape)
        except (ValueError, TypeError, AttributeError):
            raise _not_alike(where, there, old) from None
    if value.shape != shape or not jnp.issubdtype(value.dtype, jnp.floating):
        raise _not_alike(where, there, old)
    if slot.codec is None:
        return _cast(where, new, value)
    form = Form(chosen, path, None)
    codec = slot.codec.as_kept(there, shape)
    if (
        is_divided(value)
        and codec.undivided_axis(shape, pieces_of(value, "")) is not None
    ):
        value = unsharded(value)  # or its type would be in the way of the blocks
    return encoded(slot, value.astype(jnp.float32), there, p, form, key_of(0), 0)


def _are_equal(one: Any, other: Any) -> bool:
    """Return whether two codecs read alike what is kept."""
    if one is None or other is None:
        return one is other
    return one == other or (len(one.parts) > 1 and one.form() == other.form())


def _shapes(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if x is None or is_absent(x) else jnp.shape(x)
        for name, x in parts.items()
    }


def as_like(where: str, fresh: Any, saved: Any) -> Any:
    """Return a saved array in the dtype of `fresh`, whose shape it must have."""
    if jnp.shape(fresh) != jnp.shape(saved):
        raise errors.AdamxError(
            f"restore: every array saved must have the shape it has in the state of "
            f"`tx`, got {jnp.shape(saved)} for {jnp.shape(fresh)} at {where}. Pass the "
            f"parameters the state was made for."
        )
    if jnp.issubdtype(fresh.dtype, jax.dtypes.prng_key):
        return saved
    return _cast(where, fresh, saved)


def _cast(where: str, new: Any, old: Any) -> Any:
    """Return a saved array in the dtype of the new one, if both are floating or not."""
    if is_absent(new):
        return new
    old = jnp.asarray(old)
    real = jnp.issubdtype(old.dtype, jnp.floating)
    if real != jnp.issubdtype(new.dtype, jnp.floating):
        raise _not_alike(where, {"": new}, {"": old})
    return old.astype(new.dtype)


def _not_alike(where: str, wanted: Any, got: Any) -> errors.AdamxError:
    return errors.AdamxError(
        f"restore: {where} must have the shape and the kind of numbers of `tx`, got "
        f"{_shown(got)} for {_shown(wanted)}. Pass the parameters the state was made "
        f"for; if a codec had stored it, pass saved_by= the transformation that did."
    )


def _shown(parts: Mapping[str, Any]) -> str:
    kept = [
        f"{name} {x.dtype}{list(jnp.shape(x))}".strip()
        for name, x in parts.items()
        if not (x is None or is_absent(x))
    ]
    return ", ".join(kept) or "nothing"
