"""How Shampoo and its relatives see a leaf: which sides have a statistic, and why."""

from typing import Any

import jax
import jax.numpy as jnp

from .matrix_views import (
    MatrixView,
    Shape,
    Side,
    no_matrix,
    of_elements,
    sides_by_others,
)


def seen_from_sides(rule: Any, shape: Shape) -> MatrixView:
    """Return how a rule with a statistic for each side sees a leaf of this shape."""
    on_sides, alone = rule.plan_names
    has = rule._has_sides(shape)
    if not any(has):
        return of_elements(alone, no_matrix(shape))
    cut, kept = rule._blocks(shape), rule._sides(shape)
    names, axes = rule._names(len(cut.matrix)), rule._axes(shape)
    sides = []
    for i, size in enumerate(cut.matrix):
        if not kept[i]:
            sides.append(Side(axes[i], size, why=_left_out(rule, axes[i], has[i])))
        for slot, each in _kept(rule, names[i], shape, cut.number).items():
            sides.append(Side(axes[i], size, slot, each))
    why = _how(rule, shape, axes)
    if not any(kept):
        return of_elements(alone, why, tuple(sides))
    if cut.number > 1:
        why = f"{why}; blocks of at most {rule.block_size}"
        if any(n % b for n, b in zip(cut.matrix, cut.block, strict=True)):
            why = f"{why}, the last filled up with zeros"
    return MatrixView(on_sides, why, cut.number, cut.block, tuple(sides))


def _kept(rule: Any, name: str, shape: Shape, number: int) -> dict[str, Shape]:
    """Return the slots of one side, and what they keep of one of so many blocks.

    Beside the statistic, `left`, there may be its basis, eigenvalues or root.
    """
    like, found = jax.ShapeDtypeStruct(shape, jnp.float32), {}
    for slot, declared in rule.slots().items():
        if slot == name or slot.startswith(f"{name}_"):
            kept = tuple(jax.eval_shape(declared.shape_of, like).shape)
            each = kept[1:] if number > 1 else kept
            if each != (0,):
                found[slot] = each
    return found


def _how(rule: Any, shape: Shape, axes: tuple[Shape, ...]) -> str:
    """Say which matrix or tensor a leaf is."""
    merge = getattr(rule, "merge_dims", None)
    if len(shape) < 2:
        return "a vector" if shape else "a scalar"
    if merge is None:
        return sides_by_others(shape)
    if not merge:
        return "merge_dims=False: a side for each axis"
    joined = [str(group) for group in axes if len(group) > 1]
    return f"merge_dims=True: axes merged: {', '.join(joined) or 'none'}"


def _left_out(rule: Any, axes: Shape, could: bool) -> str:
    """Say why a side has no statistic."""
    if could:
        return f"longer than max_dim={rule.max_dim}"
    return f"left out by one_sided={rule.one_sided!r}" if axes else "one column"
