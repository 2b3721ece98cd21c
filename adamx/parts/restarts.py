"""Periodic reset of a part's state, with a warm-up after each reset (SPAM)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import option
from ..engine.rule import Wrapper
from ..engine.state import Context, Slot, Slots, is_absent

_USUAL = "The paper has every=500, warmup=150."


class PeriodicReset(Wrapper):
    """Reset the slots of `part` at every ΔT-th step, and warm up after each reset.

        j = t mod ΔT steps since a restart, while j < N:
        u ← (1 - 0.99 (1 + cos(π j / (N + 1))) / 2) u

    There is no such warm-up before the first reset. Shared slots, such as the weight
    of an average, are not reset, so the bias corrections do not start again: the first
    step after a reset is (1 - b1) / sqrt(1 - b2) long, times the warm-up's 0.01.

    Args:
        part: a rule whose slots are initialised with numbers.
        every: ΔT, the steps from one reset to the next.
        warmup: N, the length of the warm-up after a reset; 0 for none.
        recount: bias-correct as if the step of a reset were the first (Stable-SPAM).
        name: the shared slot that counts the steps since a reset.

    Reference: Huang et al., "SPAM: spike-aware Adam with momentum reset for stable LLM
    training", ICLR 2025, Algorithm 1, arXiv:2501.06842; `recount`: Huang et al.,
    "Stable-SPAM: how to train in 4-bit more stably than 16-bit Adam", 2025,
    arXiv:2502.17055.
    """

    every: int = option(500, least=1, kw_only=False, advice=_USUAL)
    warmup: int = option(150, least=0, kw_only=False, advice=_USUAL)
    recount: bool = False
    name: str = option("since_restart")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, slot in self.part.slots().items():
            if callable(slot.init):
                raise errors.AdamxError(
                    f"PeriodicReset: the slots of `part` must start at numbers, got "
                    f"`{name}` of {self.part!r}, which starts at the parameter. Put "
                    f"what keeps it outside."
                )

    def slots(self) -> dict[str, Slot]:
        slots = {name: self._recounting(s) for name, s in self.part.slots().items()}
        since = Slot(shared=True, signed=False, from_count=self._since)
        return slots | {self.name: since}

    def _recounting(self, slot: Slot) -> Slot:
        if not self.recount or slot.from_count is None:
            return slot
        return dataclasses.replace(slot, from_count=self._after(slot.from_count))

    def _after(self, from_count: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda count: from_count(self._recounted(count, self._since(count)))

    def _since(self, count: Array) -> Array:
        return count % self.every

    def _recounted(self, count: Array, since: Array) -> Array:
        """Return the step counted from the last reset, 1 at the reset itself."""
        return jnp.where(count < self.every, count, since.astype(count.dtype) + 1)

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        # a slot, since float32 cannot tell step 2**24 from the next
        since = (kept[self.name] + 1) % self.every
        if self.recount:
            count_of_part = self._recounted(count, since)
            kept = kept | {
                name: jnp.where(since == 0, slot.init, kept[name])
                for name, slot in self.part.slots().items()
                if slot.shared
            }
        else:
            count_of_part = count
        angle = jnp.pi * since / (self.warmup + 1)
        warming = (count >= self.every) & (since < self.warmup)
        scale = jnp.where(warming, 1 - 0.99 * (1 + jnp.cos(angle)) / 2, 1)
        own = {self.name: since, self._scale: scale.astype(count.dtype)}
        return self.part.shared(kept, count_of_part) | own

    @property
    def _scale(self) -> str:
        return f"{self.name}_scale"

    def _seen(self, slots: Slots, ctx: Context) -> tuple[Slots, Context]:
        """Return the slots and the context that the part is given."""
        since: Any = ctx.shared[self.name]
        begun = {
            name: jnp.where(since == 0, jnp.asarray(slot.init, x.dtype), x)
            for name, slot in self.part.slots().items()
            if not slot.shared and not is_absent(x := slots[name])
        }
        if self.recount:
            ctx = ctx.replace(count=self._recounted(ctx.count, since))
        return slots | begun, ctx

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return self.part.partial_sums(update, *self._seen(slots, ctx))

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        u, slots = self.part.apply(update, *self._seen(slots, ctx))
        return ctx.shared[self._scale] * u, slots
