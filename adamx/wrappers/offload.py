"""Offload: the state of an optimizer in the memory of the host between steps."""

import re
from typing import Any

import jax
from jax.core import Tracer

from .. import errors
from ..engine.paths import leaves_by_path
from ..engine.slot_trees import is_placeholder
from ..numerics.sharding import is_on_host
from .around import Around, as_inner


class Offloaded(Around):
    """Keep the state of `inner` in host memory (see `offload`)."""

    to: str = "pinned_host"
    select: str | None = None

    places = True

    def __repr__(self) -> str:
        select = "" if self.select is None else f", select={self.select!r}"
        return f"offload({self.inner!r}, {self.to!r}{select})"

    def selected(self, state: Any) -> list[bool]:
        """Return for each array of a state whether it is kept on the host.

        Raises:
            ValueError: `select` is in no path of an array that could be.
        """
        found = re.compile(self.select or "").search
        named = [(path, x) for path, x in leaves_by_path(state) if x is not None]
        chosen = [bool(x.ndim and found(path)) for path, x in named]
        if self.select is not None and not any(chosen):
            paths = [path for path, x in named if x.ndim]
            raise errors.AdamxError(
                f"offload: `select` must be found in the path of an array of the "
                f"state, got {self.select!r}. The paths are {errors.listed(paths)}; "
                f"scalars stay on the device."
            )
        return chosen

    def _moved(self, state: Any, move: Any) -> Any:
        leaves, treedef = jax.tree.flatten(state)
        pairs = zip(leaves, self.selected(state), strict=True)
        return treedef.unflatten([move(x) if moves else x for x, moves in pairs])

    def _init(self, params: Any) -> Any:
        state = self.inner.init(params)
        return state if is_placeholder(params) else self._moved(state, self._to_host)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        here = self._moved(state, _to_device)
        updates, here = self.inner._update(updates, here, params, extra)
        return updates, self._moved(here, self._to_host)

    def _to_host(self, x: Any) -> Any:
        if isinstance(x, Tracer):
            return x if is_on_host(x) else jax.device_put(x, jax.memory.Space.Host)
        if x.sharding.memory_kind == self.to:
            return x
        return jax.device_put(x, x.sharding.with_memory_kind(self.to))


def _to_device(x: Any) -> Any:
    """Move an array to the device, if it is not there: a move to where it is costs."""
    return jax.device_put(x, jax.memory.Space.Device) if is_on_host(x) else x


def offload(tx: Any, to: str = "pinned_host", *, select: Any = None) -> Offloaded:
    """Keep the state of an optimizer in the memory of the host between steps.

        tx = offload(adamw(3e-4), "pinned_host", select="nu")
        state = jax.jit(tx.init)(params)

    `update` moves the selected arrays to the device, takes the step, and moves them
    back, all in one compiled program, so that XLA may overlap the copies with other
    work. The numbers are those of `tx`.

    Donate parameters and state of a whole step together, which returns them in the same
    order: `jax.jit(step, donate_argnums=(0, 1))`. JAX pairs what is donated with what
    is returned by shape and dtype only, whatever their memory; if the state is donated
    alone, the host buffer of a moment may be paired with the new parameter, and the
    process is aborted.

    Args:
        tx: any gradient transformation.
        to: "pinned_host", the memory that an accelerator can copy from by itself.
        select: a pattern (`re.search`) of paths in the state, such as "mu|nu" in
            `slots/mu/layers/0/kernel`; None for all arrays. Scalars stay on the device.

    State: that of `tx`, the selected arrays in host memory, sharded as before:
    `state_sharding(offload(tx), params)` says where.

    Raises:
        ValueError: another memory than "pinned_host", or devices without it; a
            pattern that is no regular expression, or is in no path.
        TypeError: `tx` is no gradient transformation.
    """
    inner = as_inner("offload", tx, "Pass for example offload(adamw(1e-3)).")
    known = sorted({m.kind for m in jax.devices()[0].addressable_memories()})
    if to != "pinned_host" or to not in known:
        raise errors.AdamxError(
            f"offload: `to` must be 'pinned_host', and the devices must have it, got "
            f"{to!r}, where they have {', '.join(known)}. To leave the state on the "
            f"device, leave `offload` out."
        )
    try:
        re.compile(select or "")
    except (re.error, TypeError) as error:
        raise errors.AdamxError(
            f"offload: `select` must be a regular expression, got {select!r} "
            f"({error}). It is searched for in paths such as 'slots/nu/kernel'."
        ) from None
    return Offloaded(inner, to, select)
