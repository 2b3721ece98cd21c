"""The base class of codecs: conversion of a float32 array to a stored form, and back.

A codec acts on one array, independently of tree, step, rule and slot.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors, html
from ..engine.state import is_absent
from ..engine.value import Value

# the arrays kept for one slot of one leaf, by name, `Absent()` for none; a lone array
# under the name ""
Kept: TypeAlias = dict[str, Any]


# `uniform(shape)`: numbers in (0, 1), the same for the same seed, step, leaf and place
Draw: TypeAlias = Callable[[tuple[int, ...]], Any]


class Divided(NamedTuple):
    """How an array can be coded part by part: rectangles of its rows.

    Attributes:
        codec: the codec for a part (rows, columns): what it keeps of it is the part of
            what is kept of the whole, bit for bit, if `columns` is a multiple of
            `block`, and the end of the last part is filled with zeros.
        row: how many elements a row has; None if any number will do.
        block: how many elements of a row are coded together.
    """

    codec: Any
    row: int | None
    block: int


class Codec(Value):
    """Base class of codecs: write `encode` and `decode`; test with `check_storage`.

    Attributes:
        parts: the names of the arrays that `encode` returns, each kept as a tree like
            the parameters. With `("",)` the slot itself is such a tree. If there is
            nothing to keep, return `adamx.engine.state.absent()`, since Orbax does not
            save arrays of size 0.
    """

    parts: ClassVar[tuple[str, ...]] = ("codes", "scale")

    def bind(self, slot: str, signed: bool) -> "Codec":
        """Return the codec for a slot of this name, and whether it may be negative."""
        return self

    def placed(self, split: Any) -> "Codec":
        """Return the codec for pieces of arrays, split like this inside `shard_map`.

        `adamx.in_shard_map` asks for it: `split` is an `adamx.numerics.splits.Split`.
        """
        return self

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        """Return what is kept of x; names, shapes and dtypes must not depend on x.

        It takes a third argument, what `scale` returned for x, if that is not None.
        """
        raise NotImplementedError

    def scale(self, x: Float[Array, "..."]) -> Any:
        """Return what must be known of x before its elements can be encoded, or None.

        It is for codecs with a scale per block: on a GPU x is then computed twice, for
        its scales and for its codes, which is faster than to keep it in between.
        """
        return None

    def divided(self, shape: tuple[int, ...]) -> Divided | None:
        """Return how arrays of this shape can be coded part by part, or None.

        It is for codecs whose numbers depend on a few neighbours of the same row only:
        `adamx.fused` can then run them on parts. A codec that says nothing is run on
        whole arrays.
        """
        return None

    def zeros(self, x: Float[Array, "..."]) -> Kept | None:
        """Return what is kept of x if it is all zeros, or None: `encode` returns it.

        For the arrays to be on the devices where x is, they are computed from x.
        """
        return None

    def fitted(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> "Codec":
        """Return the codec for an array of this shape that a mesh divides.

        It is asked for where a state is begun, if it is known into how many `pieces`
        each axis of the parameter is divided. The layout of what it keeps may follow
        them, so that it is divided, too; `as_kept` must then tell it by the shapes.
        """
        return self

    def as_kept(self, kept: Any, shape: tuple[int, ...]) -> "Codec":
        """Return the codec that has kept an array of this shape in `kept`.

        The shapes of the parts decide; `kept` may be of `ShapeDtypeStruct`s.
        """
        return self

    def undivided_axis(
        self, shape: tuple[int, ...], pieces: tuple[int, ...]
    ) -> int | None:
        """Return the axis of an array of which a piece cannot be kept apart, or None.

        What is kept of such an array is whole on every device.
        """
        return None

    def remedy(self, shape: tuple[int, ...], pieces: tuple[int, ...]) -> str:
        """Return the expression of a codec that always keeps these pieces apart."""
        return "Cast(jnp.bfloat16, 'stochastic')"

    def is_alike(self, part: str) -> bool:
        """Return whether this part has the shape of the array, whatever that is."""
        return False

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Return the array of this shape, in float32 or wider."""
        raise NotImplementedError

    def form(self) -> str:
        """Return a text of what `decode` depends on, which the state keeps.

        A state that was stored in another form is refused.
        """
        return repr(self).replace(" ", "").replace("/", "|")

    def _repr_html_(self) -> str:
        shape = (1024, 1024)
        codec, x = self.bind("slot", False), jax.ShapeDtypeStruct(shape, jnp.float32)
        kept = jax.eval_shape(lambda x: codec.encode(x, lambda s: jnp.full(s, 0.5)), x)
        sizes = {
            name: math.prod(a.shape) * a.dtype.itemsize
            for name, a in kept.items()
            if not is_absent(a)
        }
        rows = [
            (name or "the slot", str(kept[name].dtype), str(kept[name].shape), said)
            for name, said in ((name, html.size(size)) for name, size in sizes.items())
        ]
        size = 8 * sum(sizes.values())
        foot = f"{size / math.prod(shape):.4g} bits for each number, 32 without it."
        above = f"`{self!r}` keeps of a float32 matrix of 1024 × 1024"
        head = ("array", "dtype", "shape", "size")
        made = html.table(head, rows, right=(3,), code=(0, 1), caption=above, foot=foot)
        return f"<div>{made}</div>"

    def note(self, shape: tuple[int, ...]) -> str:
        """Return a text on how an array of this shape is kept, for `memory_plan`."""
        return repr(self)


def reject_signed(codec: Codec, slot: str, signed: bool, why: str) -> None:
    """Raise an error if a codec for non-negative values is given a signed slot."""
    if signed:
        raise errors.AdamxError(
            f"store: {codec!r} must hold a slot that is never negative, got {slot!r}. "
            f"{why}"
        )
