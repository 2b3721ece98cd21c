"""What a codec is: the way from a float32 array to what is kept of it, and back.

A codec sees one array. It knows no tree, step, rule or place in the state.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from jaxtyping import Array, Float

from .. import errors
from ..engine.value import Value

# the arrays kept for one slot of one leaf, by name; a lone array under the name ""
Kept: TypeAlias = dict[str, Array]


# `uniform(shape)`: numbers in (0, 1), the same for the same seed, step, leaf and place
Draw: TypeAlias = Callable[[tuple[int, ...]], Any]


class Codec(Value):
    """The base of codecs; write `encode` and `decode`, and check with `check_storage`.

    Attributes:
        parts: the names of the arrays that `encode` returns, each kept as a tree like
            the parameters. With `("",)` the slot itself is such a tree. Where there
            is nothing to keep return `adamx.leaf.absent()`, since Orbax does not save
            arrays of size 0.
    """

    parts: ClassVar[tuple[str, ...]] = ("codes", "scale")

    def bind(self, slot: str, signed: bool) -> "Codec":
        """The codec for a slot of this name, which may be negative or not."""
        return self

    def encode(self, x: Float[Array, "..."], uniform: Draw) -> Kept:
        """What is kept of x: the same names, shapes and dtypes whatever x holds."""
        raise NotImplementedError

    def decode(self, kept: Kept, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """The array of this shape that is kept, in float32 or wider."""
        raise NotImplementedError

    def note(self, shape: tuple[int, ...]) -> str:
        """How an array of this shape is kept, for `memory_plan`."""
        return repr(self)


def refuse_signed(codec: Codec, slot: str, signed: bool, why: str) -> None:
    """A codec for non-negative values on a slot that may be negative."""
    if signed:
        raise errors.AdamxError(
            f"store: {codec!r} must hold a slot that is never negative, got {slot!r}. "
            f"{why}"
        )
