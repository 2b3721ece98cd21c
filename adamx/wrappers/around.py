"""The base class of wrappers of a whole transformation, with a state around its own."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from jaxtyping import Array

from ..engine.chain import Chain, External, chain, contents
from ..engine.masks import Mask
from ..engine.state import Slot
from ..engine.transformation import Transformation, check_transformation
from ..engine.value import made_by, noted, restored
from .grouped import Groups, Rest


class Around(Transformation):
    """Base of transformations that run `inner` whole.

    What looks through transformations (`store`, `memory_plan`, `state_sharding`) needs
    only these methods.
    """

    places: ClassVar[bool] = False
    """Whether it only says where the arrays are: its state is that of `inner`."""

    takes_rows: ClassVar[bool] = False

    inner: Transformation

    def with_inner(self, inner: Transformation) -> Any:
        """Return the same wrapper around another transformation."""
        fields = {name: getattr(self, name) for name in self._fields}
        return restored(type(self), fields | {"inner": inner})

    def state_inside(self, state: Any) -> Any:
        """Return the state of `inner` in that of the wrapper."""
        return state if self.places else state.inner

    def around(self, state: Any, inner: Any) -> Any:
        """Return the state of the wrapper with another one of `inner`."""
        return inner if self.places else state._replace(inner=inner)

    def inside_shard_map(self) -> str:
        """Say what to write in the place of `in_shard_map` around the wrapper."""
        name = repr(self).split("(")[0]
        return f"Put it inside: {name}(in_shard_map(tx, specs), ...)."

    def own_slots(self) -> dict[str, Slot]:
        """Return the trees like the parameters in the wrapper's state, by field."""
        return {}

    def slots(self) -> dict[str, Slot]:
        """Return the slots of `inner`."""
        return declared(self.inner)

    def steps(self, state: Any) -> Array:
        return self.inner.steps(self.state_inside(state))

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        return self.inner._in_order()


def declared(tx: Any) -> dict[str, Slot]:
    """Return the slots of a transformation; none of one of another library."""
    return tx.slots() if hasattr(tx, "slots") else {}


def as_inner(where: str, tx: Any, remedy: str) -> Transformation:
    """Return what is wrapped: a transformation of Optax in a chain of its own.

    Raises:
        TypeError: it is no gradient transformation.
    """
    check_transformation(where, tx, remedy)
    return tx if isinstance(tx, Transformation) else chain(tx)


def inner_of(tx: Any) -> list[Any]:
    """Return the adamx transformations inside one that is not a rule."""
    if isinstance(tx, Chain):
        return [p for p in contents(tx.parts) if isinstance(p, Transformation)]
    if isinstance(tx, Groups):
        return [member.tx for member in tx.members]
    return [tx.inner] if isinstance(tx, Around) else []


def map_inner(tx: Any, change: Callable[[Any], Any]) -> Any:
    """Return the same transformation with others in the place of `inner_of(tx)`."""

    def changed(part: Any) -> Any:
        if not isinstance(part, External):
            return change(part)
        known = isinstance(part.tx, Transformation)
        return External(part.name, change(part.tx)) if known else part

    if isinstance(tx, Chain):
        return noted(Chain(tuple(map(changed, tx.parts))), *made_by(tx))
    if isinstance(tx, Groups):
        return tx.map(change)
    return tx.with_inner(change(tx.inner)) if isinstance(tx, Around) else tx


def without_places(tx: Any) -> Any:
    """Return what has the same state, wherever its arrays are."""
    if isinstance(tx, Around) and tx.places:
        return without_places(tx.inner)
    return map_inner(tx, without_places)


def live(tx: Any) -> Mask | None:
    """Return the mask of the leaves that `tx` does not freeze; None for all."""
    if isinstance(tx, Groups):
        return Rest(tx.frozen) if tx.frozen else None
    return live(tx.inner) if isinstance(tx, Around) else None
