"""Into how many pieces a mesh divides each axis of a leaf, as far as it is known.

It is known of arrays outside `jit` and of a `ShapeDtypeStruct` with a sharding, and on
Explicit axes by the type of an array. Under `jit` it is not known on Auto axes, unless
`told` says so. What a codec keeps of a leaf is laid out by it where a state is begun.
"""

import contextlib
import contextvars
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding

from .. import errors
from ..numerics.sharding import layout_of
from ..numerics.splits import names_of
from .paths import flatten, paths
from .slots import as_kept, fitted, is_kept, is_like
from .state import Slot, is_absent

Pieces = tuple[int, ...]


class Fitted(NamedTuple):
    """A slot of a leaf that is laid out by how a mesh divides an axis of the leaf.

    Attributes:
        slot: its name.
        path: the path of the leaf.
        axis: the axis.
        pieces: into how many pieces it is divided.
        remedy: which codec is laid out so whether or not there is a mesh.
    """

    slot: str
    path: str
    axis: int
    pieces: int
    remedy: str


class _Told(NamedTuple):
    pieces: Mapping[str, Pieces]
    fitted: list[Fitted]
    warns: bool = False


_TOLD: contextvars.ContextVar[_Told] = contextvars.ContextVar("_TOLD")
_NOTHING = _Told({}, [])


@contextlib.contextmanager
def told(pieces: Mapping[str, Pieces], warns: bool = False) -> Iterator[list[Fitted]]:
    """Say into how many pieces the axes of the leaves at these paths are divided.

    Yields the list of slots whose layout follows that, which grows as states begin.
    With `warns`, what is traced meanwhile warns as what is not traced does.
    """
    fitted: list[Fitted] = []
    around = _TOLD.get(_NOTHING).pieces
    token = _TOLD.set(_Told({**around, **pieces}, fitted, warns))
    try:
        yield fitted
    finally:
        _TOLD.reset(token)


def pieces_of(x: Any, path: str) -> Pieces:
    """Return into how many pieces each axis of a leaf is divided, 1 if not known."""
    shape = tuple(x.shape)
    known = _TOLD.get(_NOTHING).pieces.get(path, ())
    if len(known) == len(shape) and shape:
        return known
    sharding = _sharding_of(x)
    if not isinstance(sharding, NamedSharding):
        return (1,) * len(shape)
    sizes, entries = sharding.mesh.shape, list(sharding.spec)
    entries += [None] * (len(shape) - len(entries))
    return tuple(
        math.prod(sizes[name] for name in names_of(entry) if isinstance(name, str))
        for entry in entries
    )


def known_of(tree: Any) -> dict[str, Pieces]:
    """Return the pieces of the leaves that a mesh of Auto axes divides, by path."""
    arrays = [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]
    if all(isinstance(x, Tracer) or x.is_fully_replicated for x in arrays):
        return {}
    known = {}
    for path, x in zip(paths(tree), flatten(tree)[0], strict=True):
        if isinstance(x, jax.Array) and not isinstance(x, Tracer):
            known[path] = pieces_of(x, path)
    return known


def _sharding_of(x: Any) -> Any:
    if not isinstance(x, Tracer):
        return getattr(x, "sharding", None)
    known, kind = layout_of(x)
    return known if kind is AxisType.Explicit else None


def _is_explicit(x: Any) -> bool:
    """Return whether the arrays computed from x say in their types where they are."""
    return layout_of(x)[1] is AxisType.Explicit


def begun(name: str, slot: Slot, p: Any, path: str) -> Slot:
    """Return the slot with which a leaf begins: its codec follows the sharding.

    Raises:
        ValueError: on Explicit axes, no layout of the codec does.
    """
    if slot.codec is None or p is None or not is_like(slot):
        return slot
    shape, pieces = tuple(p.shape), pieces_of(p, path)
    here = fitted(slot, shape, pieces)
    axis = here.codec.undivided_axis(shape, pieces)  # pyright: ignore[reportOptionalMemberAccess]
    if axis is None:
        before = slot.codec.undivided_axis(shape, pieces)
        if before is not None and _TOLD.get(None) is not None:
            remedy = slot.codec.remedy(shape, pieces)
            note = Fitted(name, path, before, pieces[before], remedy)
            _TOLD.get().fitted.append(note)
        return here

    def sentence() -> str:
        return (
            f"init: what is kept of the slot `{name}` of `{path}` must be divided as "
            f"the leaf is, got {slot.codec!r}, in which no blocks of the shape {shape} "
            f"end where the {pieces[axis]} pieces of axis {axis} do. "
            f"Pass {slot.codec.remedy(shape, pieces)}."  # pyright: ignore[reportOptionalMemberAccess]
        )

    _say(p, sentence)
    return here


def check_kept(name: str, slot: Slot, kept: Any, p: Any, path: str, form: Any) -> None:
    """Say it if what is kept of a leaf cannot be divided as the leaf is.

    Raises:
        ValueError: on Explicit axes, where JAX refuses it.
    """
    live = slot.codec is not None and is_like(slot) and is_kept(slot, form.selected)
    if not live or form.place is not None or all(map(is_absent, kept.values())):
        return
    shape, pieces = tuple(p.shape), pieces_of(p, path)
    if all(count == 1 for count in pieces):
        return
    codec: Any = as_kept(slot, kept, shape).codec
    axis = codec.undivided_axis(shape, pieces)
    if axis is None:
        return
    fits = slot.codec.fitted(shape, pieces).undivided_axis(shape, pieces) is None  # pyright: ignore[reportOptionalMemberAccess]
    remedy = codec.remedy(shape, pieces)

    def sentence() -> str:
        anew = "Call adamx.restore(tx, state, params) outside jit, or pass"
        return (
            f"update: what is kept of the slot `{name}` of `{path}` must be divided as "
            f"the leaf is, got blocks that do not end where the {pieces[axis]} pieces "
            f"of axis {axis} do: it was begun where they were not known. "
            f"{anew if fits else 'Pass'} {remedy}."
        )

    _say(p, sentence)


def _say(x: Any, sentence: Callable[[], str]) -> None:
    """Raise an error on Explicit axes; elsewhere warn, if it is not traced."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return
    if _is_explicit(x):
        raise errors.AdamxError(sentence())
    if not isinstance(x, Tracer) or _TOLD.get(_NOTHING).warns:
        then = "Until then devices keep more than their pieces of it."
        warnings.warn(f"{sentence()} {then}", stacklevel=2)
