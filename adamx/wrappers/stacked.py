"""Stacked (scanned) layers: rules mapped over the first axis of some leaves.

A leaf `(L, m, n)` of L layers is not one tensor. A rule that needs the whole tensor
(norms, factors, orthogonalisation) is mapped over the first axis, so that layers are
never mixed; elementwise rules need no change.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, External, chain
from ..engine.masks import as_mask
from ..engine.rule import Rule, Wrapper, as_rule
from ..engine.state import Context, Labelled, Slot, Slots
from ..parts.masked import Masked
from ..parts.matrix_axes import MatrixAxes
from .grouped import Groups


class Stacked(Wrapper):
    """Apply `part` to each slice along the first axis of the leaves in `mask`.

    Optimizing a leaf `(L, m, n)` equals L runs on `(m, n)`; every slot has that axis.

    Args:
        part: a rule; other parts whose slots it reads must be inside it.
        mask: the leaves that are stacks: a tree of bools (or a prefix of one), a
            callable on the parameters, a predicate of path and leaf, or a path regex.
    """

    mask: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", as_mask("Stacked", self.mask))
        if self.mask is None:
            raise errors.AdamxError(
                "Stacked: `mask` must say which leaves are stacks, got None. Pass for "
                "example mask=r'layers/'."
            )

    def _links(self) -> Iterator[Rule]:
        yield from self._each_link()

    def _has_stacks(self) -> bool:
        return self.part._has_stacks()

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        if not ctx.selects(self.mask):
            return self.part.matrices(update, slots, ctx)
        each = self._mapped(self.part.matrices, update, slots, ctx)
        return None if each is None else each.reshape(-1, *each.shape[-2:])

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.part.together(stack)

    def slots(self) -> dict[str, Slot]:
        def stacked(slot: Slot) -> Slot:
            stacks = () if slot.shared else (self.mask,)
            return dataclasses.replace(slot, stacked_by=slot.stacked_by + stacks)

        return {name: stacked(slot) for name, slot in self.part.slots().items()}

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        if not ctx.selects(self.mask):
            return self.part.partial_sums(update, slots, ctx)
        each = self._mapped(self.part.partial_sums, update, slots, ctx)
        return jax.tree.map(lambda x: x.sum(0), each)

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.mask):
            return self.part.apply(update, slots, ctx)
        update, new = self._mapped(self.part.apply, update, slots, ctx)
        return update, slots | new

    def _mapped(self, function: Any, update: Any, slots: Slots, ctx: Context) -> Any:
        """Map `function(update, slots, ctx)` over the slices."""
        if update.ndim == 0:
            raise errors.AdamxError(
                "Stacked: a stack must have an axis of layers, got a scalar leaf. "
                "Let the mask select leaves of shape (layers, ...)."
            )
        kept = self.part.slots().items()
        own = {name: slots[name] for name, slot in kept if not slot.shared}

        selected = frozenset(_of_slice(x, update.ndim) for x in ctx.selected)

        def one(update: Any, own: Slots, param: dict, extra: Any) -> Any:
            seen = ctx.replace(**param, extra=extra, selected=selected)
            return function(update, own, seen)

        param = {"param": ctx.param} if ctx.has("param") else {}
        if ctx.has("together"):  # of every slice, one after another
            done = ctx.together
            param["together"] = done.reshape(len(update), -1, *done.shape[1:])
        extra = {name: _extra_axis(x, update) for name, x in ctx.extra.items()}
        mapped = jax.vmap(one, in_axes=(0, 0, 0, extra))
        return mapped(update, own, param, dict(ctx.extra))


def _of_slice(chosen: Any, n: int) -> Any:
    """Return a mask that selects the leaf, with the axes of a slice if it has axes."""
    if isinstance(chosen, Labelled) and isinstance(chosen.label, MatrixAxes):
        return Labelled(chosen.mask, chosen.label.of_slice(n))
    return chosen


def _extra_axis(x: Any, update: Any) -> int | None:
    """Return the axis of an extra argument: 0 if it is like the leaf, else None."""
    return 0 if getattr(x, "shape", None) == update.shape else None


def stacked(tx: Any, mask: Any) -> Any:
    """Return the same optimizer for parameters with leaves that are stacks of layers.

    Rules that need whole tensors are mapped over the first axis of those leaves.

    Args:
        tx: a rule, a chain, or groups of them.
        mask: the leaves that are stacks, as in `Stacked`.

    Raises:
        TypeError: `tx` is neither a rule nor a chain.
    """
    if isinstance(tx, Masked):  # stays outside: leaves it excludes keep no stack
        return Masked(as_rule("stacked", "tx", stacked(tx.part, mask)), tx.mask)
    if isinstance(tx, Rule):
        return Stacked(tx, mask) if tx._widest_scope() != "element" else tx
    if isinstance(tx, Groups):
        return tx.map(lambda one: stacked(one, mask))
    if not isinstance(tx, Chain):
        raise errors.type_error(
            "stacked",
            "`tx` must be a rule or a chain of rules",
            repr(tx),
            "Stack the inner transformation of a wrapper before it is wrapped.",
        )
    foreign = [p for p in tx.parts if isinstance(p, External)]
    if foreign:
        raise errors.type_error(
            "stacked",
            "every part must be a rule",
            repr(foreign[0]),
            "A transformation of whole trees cannot be mapped over layers.",
        )
    return chain(*(stacked(part, mask) for part in tx.parts))
