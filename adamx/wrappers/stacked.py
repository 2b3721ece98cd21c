"""Stacked (scanned) layers: rules mapped over an axis of some leaves.

A leaf `(L, m, n)` of L layers is not one tensor. A rule that needs the whole tensor
(norms, factors, orthogonalisation) is mapped over the axis of layers, so that layers
are never mixed; elementwise rules need no change. Masks see a layer, not the stack: a
stack of biases `(L, d)` is no matrix.
"""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain, External
from ..engine.hyperparams import option
from ..engine.masks import Mask, OfSlice, Stacks, as_mask
from ..engine.rule import LinkWise, Rule, as_rule
from ..engine.slots import axis_of_layers
from ..engine.state import Context, Slot, Slots
from ..parts.masked import Masked
from .around import Around, map_inner
from .grouped import Groups
from .tunable import Tunable


class Stacked(LinkWise):
    """Apply `part` to each slice along an axis of the leaves in `mask`.

    Optimizing a leaf `(L, m, n)` equals L runs on `(m, n)`, in which masks and axes are
    those of `(m, n)`; every slot has the axis of layers, a slot with fewer axes than
    the leaf as its first.

    Args:
        part: a rule; other parts whose slots it reads must be inside it.
        mask: the leaves that are stacks: a tree of bools (or a prefix of one), a
            callable on the parameters, a predicate of path and leaf, or a path regex.
        axis: the axis of layers.
    """

    mask: Any = None
    axis: int = option(0, kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask is None or self.mask is True:
            raise errors.AdamxError(
                "Stacked: `mask` must say which leaves are stacks, got None. Pass for "
                "example mask=r'layers/'."
            )
        stacks = self.mask
        if not isinstance(stacks, Stacks):
            stacks = Stacks(as_mask("Stacked", stacks), self.axis)
        part = self.part._with_masks(lambda mask: OfSlice(mask, stacks, self.axis))
        object.__setattr__(self, "mask", stacks)
        object.__setattr__(self, "part", part)

    def __repr__(self) -> str:
        def seen(mask: Mask) -> Mask:
            if isinstance(mask, OfSlice) and mask.stacks == self.mask:
                return mask.mask
            return mask

        axis = f", axis={self.axis}" if self.axis else ""
        return f"Stacked({self.part._with_masks(seen)!r}, {self.mask!r}{axis})"

    def _placed(self, place: Any, chosen: frozenset) -> Rule:
        inside = place.without(self.axis) if self.mask in chosen else place
        return super()._placed(inside, chosen)

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        if not ctx.selects(self.mask):
            return self.part.matrices(update, slots, ctx)
        each = self._mapped(self.part.matrices, update, slots, ctx)
        return None if each is None else each.reshape(-1, *each.shape[-2:])

    def slots(self) -> dict[str, Slot]:
        def stacked(slot: Slot) -> Slot:
            stacks = () if slot.shared else ((self.mask, self.axis),)
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
        update, new = self._mapped(self.part.apply, update, slots, ctx, kept=True)
        return update, slots | new

    def _mapped(
        self, function: Any, update: Any, slots: Slots, ctx: Context, kept: bool = False
    ) -> Any:
        """Map `function(update, slots, ctx)` over the slices.

        What it returns has the axis of layers first, or with `kept`, which is for what
        `apply` returns, where the update and the slots have it.
        """
        axis = self.axis % update.ndim
        declared = self.part.slots().items()
        own = {name: slots[name] for name, slot in declared if not slot.shared}
        places = {name: _axis_of(x, update.ndim, axis) for name, x in own.items()}

        def one(update: Any, own: Slots, param: dict, extra: Any, done: dict) -> Any:
            return function(update, own, ctx.replace(**param, **done, extra=extra))

        param = {"param": ctx.param} if ctx.has("param") else {}
        done = {}
        if ctx.has("together"):  # of every slice, one after another
            each = ctx.together
            done["together"] = each.reshape(update.shape[axis], -1, *each.shape[1:])
        extra = {name: _extra_axis(x, update, axis) for name, x in ctx.extra.items()}
        mapped = jax.vmap(
            one,
            in_axes=(axis, places, axis, extra, 0),
            out_axes=(axis, places) if kept else 0,
        )
        return mapped(update, own, param, dict(ctx.extra), done)


def _axis_of(x: Any, ndim: int, axis: int) -> int | None:
    """Return the axis of layers of a slot; None for one that the leaf has not."""
    return None if x.shape == (0,) else axis_of_layers(x.ndim, ndim, axis)


def _extra_axis(x: Any, update: Any, axis: int) -> int | None:
    """Return the axis of an extra argument: that of a leaf if it is like it."""
    return axis if getattr(x, "shape", None) == update.shape else None


def stacked(tx: Any, mask: Any, axis: Any = 0) -> Any:
    """Return the same optimizer for parameters with leaves that are stacks of layers.

        stacked(muon(0.02), r"blocks/")           # (layers, m, n) and (layers, d)
        stacked(muon(0.02), r"decoder/", axis=1)  # (m, layers, n) and (d, layers)

    Rules that need whole tensors are mapped over the axis of layers. All masks and axes
    of `tx` are asked about a layer, not about the stack: which leaves decay, which are
    Muon's, which axes are rows. Here kernels are orthogonalised, and biases and norms,
    vectors in a layer, are Adam's.

    Args:
        tx: a rule, a chain, groups of them, or one of these in `tunable`.
        mask: the leaves that are stacks, as in `Stacked`.
        axis: the axis of layers in each of them; -1 is the last.

    Raises:
        TypeError: `tx` is neither a rule nor a chain, or `axis` is no integer.
        ValueError: `mask` is None or True; at `init`: the mask selects a leaf without
            that axis.
    """
    if not isinstance(axis, int) or isinstance(axis, bool):
        raise errors.type_error(
            "stacked",
            "`axis` must be an integer, the axis of layers",
            errors.shown(axis),
            "Call stacked once for each axis, with a mask of the leaves that have it.",
        )
    chosen = as_mask("stacked", mask)
    if chosen is None:
        raise errors.AdamxError(
            f"stacked: `mask` must say which leaves are stacks of layers, got {mask}. "
            f"Pass for example stacked(tx, r'blocks/'); if all of them are, pass "
            f"lambda path, leaf: True."
        )
    stacks = Stacks(chosen, axis)
    if isinstance(tx, Tunable):
        return Tunable(stacked(tx.inner, mask, axis), tx.names)
    if isinstance(tx, Masked):  # stays outside: leaves it excludes keep no stack
        part = as_rule("stacked", "tx", stacked(tx.part, mask, axis))
        return Masked(part, OfSlice(tx.mask, stacks, axis))
    if isinstance(tx, Rule):
        if tx._widest_scope() != "element":
            return Stacked(tx, mask, axis)
        return tx._with_masks(lambda mask: OfSlice(mask, stacks, axis))
    if isinstance(tx, Groups):
        return tx.map(lambda one: stacked(one, mask, axis))
    if isinstance(tx, Around):
        name = repr(tx).split("(")[0]
        raise errors.type_error(
            "stacked",
            "`tx` must be rules, a chain or groups of them, or one of these in tunable",
            errors.shown(tx),
            f"Put it inside: {name}(stacked(tx, mask), ...).",
        )
    if not isinstance(tx, Chain):
        raise errors.type_error(
            "stacked",
            "`tx` must be a rule or a chain of rules",
            repr(tx),
            "Give it the adamx transformation inside a wrapper before that is wrapped.",
        )
    foreign = [p for p in tx.parts if isinstance(p, External) and p.is_foreign]
    if foreign:
        raise errors.type_error(
            "stacked",
            "every part must be a rule",
            repr(foreign[0]),
            "A transformation of whole trees cannot be mapped over layers.",
        )
    return map_inner(tx, lambda part: stacked(part, mask, axis))
