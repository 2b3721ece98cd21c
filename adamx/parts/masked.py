"""Masking: applying a rule to some of the leaves only."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from jaxtyping import Array, Float

from .. import errors
from ..engine.masks import as_mask
from ..engine.rule import LinkWise, Rule
from ..engine.state import Context, Slot, Slots


class Masked(LinkWise):
    """Apply `part` to the leaves that `mask` selects; do not change the others.

    A leaf that is not selected has no state. Around a whole optimizer this is no
    freeze: what is not selected is returned as it came, which is the raw gradient.
    To freeze leaves use `adamx.groups([(pattern, tx), (..., None)])`.

    Args:
        part: a rule.
        mask: a tree of bools (or a prefix of one), a callable on the parameters, a
            predicate of path and leaf, or a path regex (`re.search` on `a/b/c`).
    """

    mask: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("Masked", self.mask))
        if self.mask is None:
            raise errors.AdamxError(
                "Masked: `mask` must say which leaves, got None. Use the part itself "
                "to act on all of them."
            )

    def _in_order(self) -> Iterator[tuple[Rule, frozenset]]:
        for rule, masks in self.part._in_order():
            yield rule, masks | {self.mask}

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        if not ctx.selects(self.mask):
            return None
        return self.part.matrices(update, slots, ctx)

    def slots(self) -> dict[str, Slot]:
        def guarded(slot: Slot) -> Slot:
            masks = () if slot.shared else (self.mask,)
            return dataclasses.replace(slot, masks=slot.masks + masks)

        return {name: guarded(slot) for name, slot in self.part.slots().items()}

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        if not ctx.selects(self.mask):
            return {}
        return self.part.partial_sums(update, slots, ctx)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return update, slots
        return self.part.apply(update, slots, ctx)
