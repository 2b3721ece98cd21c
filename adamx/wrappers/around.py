"""The base class of wrappers of a whole transformation, with a state around its own."""

from collections.abc import Iterator
from typing import Any, ClassVar

from jaxtyping import Array

from ..engine.chain import chain
from ..engine.masks import Mask
from ..engine.state import Slot
from ..engine.transformation import Transformation
from ..engine.value import restored
from .grouped import Groups, Rest


class Around(Transformation):
    """Base of transformations that run `inner` whole.

    What looks through transformations (`store`, `memory_plan`, `state_sharding`) needs
    only these methods.
    """

    places: ClassVar[bool] = False
    """Whether all that it does is to say where the arrays of the state are."""

    inner: Transformation

    def with_inner(self, inner: Transformation) -> Any:
        """Return the same wrapper around another transformation."""
        fields = {name: getattr(self, name) for name in self._fields}
        return restored(type(self), fields | {"inner": inner})

    def state_inside(self, state: Any) -> Any:
        """Return the state of `inner` in that of the wrapper."""
        return state.inner

    def around(self, state: Any, inner: Any) -> Any:
        """Return the state of the wrapper with another one of `inner`."""
        return state._replace(inner=inner)

    def own_slots(self) -> dict[str, Slot]:
        """Return the trees like the parameters in the wrapper's state, by field."""
        return {}

    def slots(self) -> dict[str, Slot]:
        """Return the slots of `inner`."""
        slots: Any = getattr(self.inner, "slots", dict)
        return slots()

    def steps(self, state: Any) -> Array:
        return self.inner.steps(self.state_inside(state))

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        return self.inner._in_order()


def as_inner(tx: Any) -> Transformation:
    """Return what is wrapped: a transformation of Optax in a chain of its own."""
    return tx if isinstance(tx, Transformation) else chain(tx)


def without_places(tx: Any) -> Any:
    """Return what has the same state, wherever its arrays are."""
    if isinstance(tx, Groups):
        return tx.map(without_places)
    if not isinstance(tx, Around):
        return tx
    inner = without_places(tx.inner)
    return inner if tx.places else tx.with_inner(inner)


def live(tx: Any) -> Mask | None:
    """Return the mask of the leaves that `tx` does not freeze; None for all."""
    if isinstance(tx, Groups):
        return Rest(tx.frozen) if tx.frozen else None
    return live(tx.inner) if isinstance(tx, Around) else None
