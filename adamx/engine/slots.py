"""Slots of one leaf: initialisation, and conversion by a codec."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType

from ..numerics.arithmetic import compute_dtype
from ..numerics.random_bits import Piece, Uniform, key_of
from ..numerics.sharding import laid_out, layout_of, placed_like, spread_over, unsharded
from .paths import flatten
from .state import Labelled, Slot, absent, copied, is_absent, label_of


def full(like: Any, value: Any, dtype: Any) -> Any:
    """Return an array filled with `value`, with the shape and sharding of `like`."""
    if isinstance(like, Tracer):
        # plain zeros lose the sharding under jit: they are computed from the parameter,
        # whatever it holds; tests/interop/test_sharding.py has every mesh mode
        filling = jnp.asarray(value, dtype)
        started = jnp.where(like == like, filling, filling)
        known, kind = layout_of(like)
        if kind is AxisType.Explicit:  # written as an update writes it: (d, None)
            return jax.sharding.reshard(started, known)
        return started
    placed = getattr(like, "sharding", None) if _is_placed(like) else None
    return jnp.full(like.shape, value, dtype, device=placed)


def _is_placed(x: Any) -> bool:
    """Return whether `x` has a sharding that was chosen explicitly."""
    return isinstance(x, jax.ShapeDtypeStruct) or getattr(x, "committed", False)


def split(slot: Slot, column: list) -> Any:
    """Return the columns of the state for a slot: one, or one for each codec part."""
    if slot.codec is None:
        return column
    if slot.codec.parts == ("",):
        return [kept[""] for kept in column]
    return {part: [kept[part] for kept in column] for part in slot.codec.parts}


def join(slot: Slot, trees: Any, column_of: Any) -> list:
    """Invert `split`; `column_of(tree)` is the column of one tree."""
    if slot.codec is None:
        return column_of(trees)
    if slot.codec.parts == ("",):
        return [{"": kept} for kept in column_of(trees)]
    columns = [column_of(trees[part]) for part in slot.codec.parts]
    parts = zip(*columns, strict=True)
    return [dict(zip(slot.codec.parts, kept, strict=True)) for kept in parts]


def is_like(slot: Slot) -> bool:
    """Return whether a slot has the axes of the parameter."""
    return slot.shape_of is None and (not callable(slot.init) or slot.init is copied)


def axis_of_layers(slot_ndim: int, ndim: int, axis: int) -> int:
    """Return the axis of layers of a slot of a stack: 0, or the leaf's own.

    It is the leaf's if the slot has as many axes as the leaf.
    """
    return axis % ndim if slot_ndim == ndim else 0


def _over_layers(function: Any, axis: int) -> Any:
    """Map a function of the parameter over the layers of a stack."""

    def mapped(p: Any) -> Any:
        n = axis % p.ndim
        of_one = jax.ShapeDtypeStruct((*p.shape[:n], *p.shape[n + 1 :]), p.dtype)
        ndim = 1 + jax.eval_shape(function, of_one).ndim
        return jax.vmap(function, n, axis_of_layers(ndim, p.ndim, axis))(p)

    return mapped


def _of_param(slot: Slot, function: Any, p: Any, chosen: frozenset) -> Any:
    """Return `function(p)` in the arithmetic's dtype, mapped over stacked layers."""
    dtype = compute_dtype(p.dtype)
    if slot.labelled_by is not None:
        function = functools.partial(function, label_of(slot.labelled_by, chosen))
    for mask, axis in slot.stacked_by:
        if mask in chosen:
            function = _over_layers(function, axis)
    if isinstance(p, jax.ShapeDtypeStruct):
        return jax.eval_shape(function, jax.ShapeDtypeStruct(p.shape, dtype))
    return function(jnp.asarray(p, dtype))


def _like(slot: Slot, path: str) -> Any:
    return functools.partial(slot.shape_of, path) if slot.by_path else slot.shape_of  # pyright: ignore[reportArgumentType]


def _start(slot: Slot, p: Any, chosen: frozenset, path: str) -> Any:
    dtype = slot.dtype or compute_dtype(p.dtype)
    if callable(slot.init):
        return jnp.array(_of_param(slot, slot.init, p, chosen), dtype)
    if slot.shape_of is None:
        return full(p, slot.init, dtype)
    like = _of_param(slot, _like(slot, path), p, chosen)
    if slot.whole and slot.codec is None:
        return _spread(slot, like.shape, p, chosen, dtype)
    return full(like, slot.init, dtype)


def _spread(slot: Slot, shape: Any, p: Any, chosen: frozenset, dtype: Any) -> Any:
    """Return the start of a slot that is split over the devices of the parameter."""
    if shape == p.shape:
        return full(p, slot.init, dtype)
    placed = spread_over(shape, p, _layers(slot, shape, p, chosen))
    if not isinstance(p, Tracer):
        return jnp.full(shape, slot.init, dtype, device=placed)
    return laid_out(jnp.full(shape, slot.init, dtype), placed)


def _layers(
    slot: Slot, shape: tuple[int, ...], leaf: Any, chosen: frozenset
) -> tuple[int, int] | None:
    """Return the axes of layers of the leaf and of a slot of it, None for no stack."""
    axes = [axis for mask, axis in slot.stacked_by if mask in chosen]
    if not axes:
        return None
    ndim = len(leaf.shape)
    return axes[-1] % ndim, axis_of_layers(len(shape), ndim, axes[-1])


def _laid_out(slot: Slot, new: Any, kept: Any, leaf: Any, chosen: frozenset) -> Any:
    """Give a new slot the layout that it had.

    So that the layout of the state is a fixed point, and no step compiles again.
    """
    if slot.whole:
        layers = _layers(slot, new.shape, leaf, chosen)
        new = unsharded(new, () if layers is None else layers[1:])
        if new.shape != leaf.shape:
            return laid_out(new, spread_over(new.shape, leaf, layers))
    return placed_like(new, kept)


def of_state(slot: Slot, trees: Any, params: Any) -> Any:
    """Decode a slot of the whole tree to what the rule is given, in float32."""
    if slot.codec is None:
        return trees
    leaves, treedef = jax.tree.flatten(params)
    column = join(slot, trees, treedef.flatten_up_to)
    shown = [
        slot.codec.decode(kept, p.shape) for kept, p in zip(column, leaves, strict=True)
    ]
    return treedef.unflatten(shown)


def labels(slot: Slot, params: Any) -> list[frozenset]:
    """Return for each leaf of a tree its label, as one of the masks that select it."""
    if slot.labelled_by is None:
        return [frozenset()] * len(flatten(params)[0])
    mask = slot.labelled_by
    return [frozenset([Labelled(mask, x)] if x else []) for x in mask.labels(params)]


def is_kept(slot: Slot, chosen: frozenset) -> bool:
    """Return whether a leaf that these masks select has the slot."""
    return chosen.issuperset(slot.masks)


def begin(slot: Slot, p: Any, chosen: frozenset, path: str) -> Any:
    """Initialise one slot of one leaf.

    Returns an array, or with a codec its parts by name; `absent()` for a leaf that is
    masked out, and for leaves and slots of size 0.
    """
    if p is None or not p.size or not is_kept(slot, chosen):
        empty = None if p is None else absent()
        return empty if slot.codec is None else dict.fromkeys(slot.codec.parts, empty)
    start = _start(slot, p, chosen, path)
    if slot.codec is None:
        return start if start.size else absent()
    # the first step is 1: 0 gives initialisation its own random numbers
    zeros = not callable(slot.init) and slot.init == 0
    encode = functools.partial(_encode_start, slot.codec, slot.split, zeros)
    key = key_of(slot.seed, key_of(0))
    return encode(start, key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _encode_start(codec: Any, split: Any, zeros: bool, x: Any, key: Any) -> Any:
    known = codec.zeros(x) if zeros else None
    drawn = Uniform(key, 0, _piece(x, split))
    return codec.encode(x, drawn) if known is None else known


def _piece(x: Any, split: Any) -> Piece | None:
    return None if split is None else Piece(x.shape, split)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _encode(codec: Any, split: Any, draw: int, x: Any, scale: Any, key: Any) -> Any:
    """Encode an array; traced once for leaves of one shape."""
    known = () if scale is None else (scale,)
    return codec.encode(x, Uniform(key, draw, _piece(x, split)), *known)


@functools.lru_cache(maxsize=1024)
def shapes_kept(slot: Slot, shape: tuple[int, ...]) -> Any:
    """Return the shapes of what a codec keeps for a slot of this shape, by part."""

    def kept(p: Any) -> Any:
        return begin(slot, p, frozenset(slot.masks), "")

    return shapes(jax.eval_shape(kept, jax.ShapeDtypeStruct(shape, jnp.float32)))


def shapes(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the shapes of the parts that are kept, None for nothing."""
    return {n: None if is_absent(x) else jnp.shape(x) for n, x in kept.items()}


def fitted(slot: Slot, shape: tuple[int, ...], pieces: tuple[int, ...]) -> Slot:
    """Return the slot of a leaf whose axes a mesh divides into so many pieces."""
    if slot.codec is None or not is_like(slot):
        return slot
    return dataclasses.replace(slot, codec=slot.codec.fitted(shape, pieces))


def as_kept(slot: Slot, kept: Any, shape: tuple[int, ...]) -> Slot:
    """Return the slot of a leaf as it is kept in the state."""
    return dataclasses.replace(slot, codec=slot.codec.as_kept(kept, shape))


def shape_of(slot: Slot, g: Any, chosen: frozenset, path: str | None) -> Any:
    """Return the decoded shape of a slot, for an update like `g`."""
    if slot.shape_of is None and not callable(slot.init):
        return g.shape
    p = jax.ShapeDtypeStruct(g.shape, g.dtype)
    function = slot.init if callable(slot.init) else _like(slot, path or "")
    return _of_param(slot, function, p, chosen).shape


def decoded(slot: Slot, kept: Any, g: Any, form: Any) -> Any:
    """Decode a slot to what a rule is given, in the dtype of the arithmetic."""
    if slot.codec is None and not is_absent(kept):
        return kept.astype(g.dtype)
    if not is_kept(slot, form.selected):
        return jnp.zeros((0,), g.dtype)
    shape = shape_of(slot, g, form.selected, form.path)
    if slot.codec is None:
        return jnp.zeros(shape, g.dtype)
    return slot.codec.decode(kept, shape).astype(g.dtype)


def is_scaled(slot: Slot, g: Any, form: Any) -> bool:
    """Return whether the codec scales the new slot by its largest numbers."""
    if not is_kept(slot, form.selected):
        return False
    shape = shape_of(slot, g, form.selected, form.path)
    like = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(slot.codec.scale, like) is not None  # pyright: ignore[reportOptionalMemberAccess]


def scale_of(slot: Slot, new: Any, kept: Any, form: Any) -> Any:
    """Return what `encoded` can be given as `scale`; None if the codec has none."""
    if not is_kept(slot, form.selected):
        return None
    return slot.codec.as_kept(kept, new.shape).scale(new)  # pyright: ignore[reportOptionalMemberAccess]


def encoded(
    slot: Slot,
    new: Any,
    kept: Any,
    leaf: Any,
    form: Any,
    key: Any,
    draw: int,
    scale: Any = None,
) -> Any:
    """Encode the new value of a slot, with the parts, layout and dtypes of `kept`.

    `leaf` is the update of a rule that sees more than one element of it, else None:
    what is computed element by element is laid out as the leaf is.
    """
    if not is_kept(slot, form.selected):
        return kept
    if slot.codec is None:
        if is_absent(kept):
            return kept
        new = new.astype(kept.dtype)
        return new if leaf is None else _laid_out(slot, new, kept, leaf, form.selected)
    key = key_of(slot.seed, key)
    codec = slot.codec.as_kept(kept, new.shape)
    after = _encode(codec, slot.split, draw, new, scale, key)
    # a state saved long ago may keep another placeholder
    return {n: kept[n] if is_absent(x) else x for n, x in after.items()}
