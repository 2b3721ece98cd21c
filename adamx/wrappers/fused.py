"""Fused steps: the leaves of an optimizer computed in one pass over memory."""

from collections.abc import Iterator
from typing import Any

from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, External
from ..engine.rule import Rule, Wrapper
from ..engine.state import Context, Slots
from ..engine.transformation import Transformation
from ..kernels import lowering
from .tunable import Tunable

lowering.register()


class Fused(Wrapper):
    """Compute each leaf of `part` in one pass over memory (see `fused`)."""

    def __repr__(self) -> str:
        return f"fused({self.part!r})"

    def _takes(self) -> str:
        return self.part._takes()

    def _is_fused(self) -> bool:
        return True

    def _links(self) -> Iterator[Rule]:
        yield from self._each_link()

    def _has_stacks(self) -> bool:
        return self.part._has_stacks()

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        return self.part.matrices(update, slots, ctx)

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.part.together(stack)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return self.part.apply(update, slots, ctx)


def fused(tx: Any) -> Any:
    """Return the same optimizer, with each leaf computed in one pass over memory.

        tx = adamx.fused(adamx.adamw(1e-3))
        params, state = adamx.step(tx, params, grads, state)

    The arithmetic of the rules, the slots' codecs and the sum with the parameters
    become one loop over the leaf, from the same definition: decode, update, encode, in
    place. It needs `adamx.step`, which also applies the update (with `tx.update` the
    sum with the parameters is another pass). The state is that of `tx`.

    - On a CPU, where XLA computes a step of Adam in three loops, it is a native loop;
      that needs the extra `adamx[fused]`.
    - On an NVIDIA GPU and on a TPU it is a kernel, by Pallas. XLA computes a step of
      Adam in float32 in one kernel too, but a step of 8 bits in several. The kernels
      are the plain step bit for bit where XLA interprets them; on a device, quotients,
      roots and the like may differ by some units in the last place.

    A leaf whose arithmetic is no such loop (sums over the leaf, an operation that is
    not known) is computed as without `fused`; `memory_plan(fused(tx), params)` says
    which, and why. So are all leaves on a CPU without the extra, under `vmap`, in
    derivatives, and where the compiler divides arrays among devices, except for
    matrices on GPUs: there each device runs a kernel on its shard, without
    communication. A program exported for several platforms has the kernels of a TPU,
    and XLA's own for the others.

    Args:
        tx: an adamx transformation, in any nesting of chains, masks and `tunable`.

    Raises:
        TypeError: `tx` is no adamx transformation.
    """
    if not isinstance(tx, Transformation):
        raise errors.type_error(
            "fused",
            "`tx` must be an adamx transformation",
            repr(tx),
            "Fuse the inner transformation of a foreign wrapper before it is wrapped.",
        )
    return _fused(tx)


def _fused(tx: Any) -> Any:
    if isinstance(tx, Rule):
        return tx if isinstance(tx, Fused) else Fused(tx)
    if isinstance(tx, Tunable):
        return Tunable(_fused(tx.inner), tx.names)
    if isinstance(tx, Chain):
        return Chain(tuple(map(_part, tx.parts)))
    return tx


def _part(part: Any) -> Any:
    if not isinstance(part, External):
        return _fused(part)
    known = isinstance(part.tx, Transformation)
    return External(part.name, _fused(part.tx)) if known else part


def is_fused(tx: Any) -> bool:
    """Return whether any rule of a transformation is fused."""
    if isinstance(tx, Rule):
        return tx._is_fused()
    if isinstance(tx, Tunable):
        return is_fused(tx.inner)
    if isinstance(tx, Chain):
        return any(is_fused(p.tx if isinstance(p, External) else p) for p in tx.parts)
    return False
