"""Fused steps: the leaves of an optimizer computed in one pass over memory."""

import functools
import importlib
from typing import Any

from .. import errors
from ..engine.rule import LinkWise, Rule
from ..engine.transformation import Transformation
from .around import inner_of, map_inner


class Fused(LinkWise):
    """Compute each leaf of `part` in one pass over memory (see `fused`)."""

    def __repr__(self) -> str:
        return f"fused({self.part!r})"

    def _takes(self) -> str:
        return self.part._takes()

    def _is_fused(self) -> bool:
        _tell_of_kernels()
        return True


@functools.cache
def _tell_of_kernels() -> None:
    """Tell JAX of the kernels, once; what is not fused does without their imports."""
    importlib.import_module("adamx.kernels.lowering").register()


def fused(tx: Any) -> Any:
    """Return the same optimizer, with each leaf computed in one pass over memory.

        tx = adamx.fused(adamx.adamw(1e-3))
        params, state = adamx.step(tx, params, grads, state)

    The arithmetic of the rules, the slots' codecs and the sum with the parameters
    become one loop over the leaf, from the same definition: decode, update, encode, in
    place. It needs `adamx.step`, which also applies the update (with `tx.update` the
    sum with the parameters is another pass). The state is that of `tx`.

    - On a CPU, where XLA computes a step of Adam in three loops, it is a native loop;
      that needs the extra `adamx[fused]`. Without it, or where the loop does not know
      an operation, leaves of a million elements and more with slots of 8 or 4 bits are
      computed in blocks that fit the cache, by XLA: in about half the processor time
      and almost without temporaries. In float32 and bfloat16 there is nothing to gain.
    - On an NVIDIA GPU and on a TPU it is a kernel, by Pallas. XLA computes a step of
      Adam in float32 in one kernel too, but a step of 8 bits in several. The kernels
      are the plain step bit for bit where XLA interprets them; on a device, quotients,
      roots and the like may differ by some units in the last place.

    Of a table with row-sparse gradients, the native loop runs on the rows only, in the
    table (`adamx.sparse`).

    A leaf whose arithmetic is no such loop (sums over the leaf, an operation that is
    not known) is computed as without `fused`; `memory_plan(fused(tx), params)` says
    which, and why. So are all other leaves on a CPU without the extra, and all leaves
    under `vmap`, in derivatives, and where the compiler divides arrays among devices,
    except for matrices on GPUs: there each device runs a kernel on its shard, without
    communication. A program exported for several platforms has the kernels of a TPU,
    and XLA's own for the others.

    Args:
        tx: an adamx transformation, in any nesting of chains, masks, groups and
            `tunable`.

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
    return map_inner(tx, _fused)


def is_fused(tx: Any) -> bool:
    """Return whether any rule of a transformation is fused."""
    return tx._is_fused() if isinstance(tx, Rule) else any(map(is_fused, inner_of(tx)))
