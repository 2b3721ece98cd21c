"""The refusals of the lift: trees, leaves and slots that do not fit together.

Checked while tracing, so that nothing is checked in the compiled step.
"""

from typing import Any

import jax
import jax.numpy as jnp

from .. import errors as _checks
from . import slots as keeping
from .masks import path_of
from .state import Slot, is_nothing


def _is_none(x: Any) -> bool:
    return x is None


def flatten(tree: Any) -> tuple[list, Any]:
    """The leaves of a tree, `None` among them: a frozen leaf keeps its place."""
    return jax.tree.flatten(tree, is_leaf=_is_none)


def places(tree: Any) -> list[str]:
    """The paths of the leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_none)[0]
    return [path_of(keys) or "the only leaf" for keys, _ in leaves]


def place(tree: Any, i: int) -> str:
    return places(tree)[i]


def check_param(p: Any, tree: Any, i: int) -> None:
    if not (hasattr(p, "shape") and hasattr(p, "dtype")):
        raise _checks.refuse(
            "init",
            f"every leaf of the parameters must be an array, `{place(tree, i)}` is not",
            f"{type(p).__name__} {p!r}",
            "Pass the arrays only, for example eqx.filter(model, eqx.is_inexact_array),"
            " or jnp.asarray(number).",
        )
    if jnp.issubdtype(p.dtype, jnp.complexfloating):
        raise _checks.refuse(
            "init",
            f"every parameter must be real, `{place(tree, i)}` is not",
            f"dtype {p.dtype}",
            "Wrap the optimizer in optax.contrib.split_real_and_imaginary.",
        )
    if not jnp.issubdtype(p.dtype, jnp.floating):
        raise _checks.refuse(
            "init",
            f"every parameter must be floating, `{place(tree, i)}` is not",
            f"dtype {p.dtype}",
            "Keep counters and indices out of the parameters, or mask them with "
            "optax.masked.",
        )


def column(name: str, treedef: Any, tree: Any, updates: Any) -> list:
    """The leaves of `tree` in the order of the updates."""
    try:
        return treedef.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError) as error:
        there = "params" if name == "params" else f"the slot `{name}`"
        raise _checks.AdamxError(
            f"update: {there} must have the structure of the updates, got "
            f"{jax.tree.structure(tree)} where the updates have "
            f"{jax.tree.structure(updates)} ({error}). Pass the gradients of the same "
            f"parameters that `init` was given."
        ) from None


def slot_column(name: str, slot: Slot, treedef: Any, trees: Any, updates: Any) -> list:
    """The leaves of a slot in the order of the updates, by part if it has several."""
    parts = () if slot.codec is None else slot.codec.parts
    if len(parts) > 1 and not (isinstance(trees, dict) and trees.keys() == set(parts)):
        raise _checks.AdamxError(
            f"update: the slot `{name}` must be kept as {slot.codec!r} keeps it, in "
            f"{', '.join(parts)}, got {type(trees).__name__}. Pass the state that "
            f"`init` of this transformation returned."
        )
    return keeping.join(slot, trees, lambda tree: column(name, treedef, tree, updates))


def check_updates(updates: Any) -> None:
    """Refuse what is no array before JAX does, which does not say where."""
    for i, g in enumerate(flatten(updates)[0]):
        if not (g is None or (hasattr(g, "dtype") and hasattr(g, "shape"))):
            raise _checks.refuse(
                "update",
                f"every update must be an array, `{place(updates, i)}` is not",
                f"{type(g).__name__} {g!r}",
                "Pass jnp.asarray(number), or None for a leaf without a gradient.",
            )


def check_leaf(g: Any, p: Any, updates: Any, i: int) -> None:
    if p is not None and not (hasattr(p, "dtype") and hasattr(p, "shape")):
        raise _checks.refuse(
            "update",
            f"every parameter must be an array, `{place(updates, i)}` is not",
            f"{type(p).__name__} {p!r}",
            "Pass the parameters that `init` was given.",
        )
    if not jnp.issubdtype(g.dtype, jnp.floating):
        raise _checks.refuse(
            "update",
            f"every update must be real and floating, `{place(updates, i)}` is not",
            f"dtype {g.dtype}",
            "Differentiate with respect to floating parameters only; for complex ones "
            "wrap the optimizer in optax.contrib.split_real_and_imaginary.",
        )
    if p is not None and p.shape != g.shape:
        raise _checks.AdamxError(
            f"update: updates and params must have equal shapes, got {g.shape} and "
            f"{p.shape} at `{place(updates, i)}`. Pass the gradient of this parameter."
        )


def check_scalars(rule: Any) -> None:
    for h in jax.tree.leaves(rule):
        if jnp.shape(h):
            raise _checks.AdamxError(
                f"update: a hyperparameter must be one number, got an array of shape "
                f"{jnp.shape(h)} in {rule!r}. Use jax.vmap to run several at once."
            )


def check_present(declared: dict[str, Slot], slots: dict[str, Any]) -> None:
    missing = sorted(declared.keys() - slots.keys())
    if missing:
        raise _checks.AdamxError(
            f"update: the state must hold the slots {sorted(declared)}, "
            f"{missing} is missing. It was made by another transformation; "
            f"complete it with adamx.restore(tx, state, params)."
        )


def check_slots(
    declared: dict[str, Slot], columns: dict[str, list], leaves: list, tree: Any
) -> None:
    for name, column in columns.items():
        if declared[name].like is not None or callable(declared[name].start):
            continue
        for i, (g, s) in enumerate(zip(leaves, column, strict=True)):
            if isinstance(s, dict):
                s = _only_shape(name, declared[name], g, s, tree, i)
            if g is not None and s is None:
                raise _checks.AdamxError(
                    f"update: a leaf without a parameter must have no gradient, got "
                    f"one for `{place(tree, i)}`. Pass the gradients of the same "
                    f"parameters that `init` was given."
                )
            if g is not None and not is_nothing(s) and s.shape != g.shape:
                raise _checks.AdamxError(
                    f"update: updates must have the shapes that `init` was given, got "
                    f"{g.shape} for `{place(tree, i)}`, whose slot `{name}` has "
                    f"{s.shape}. Pass the gradients of the same parameters."
                )


def _only_shape(name: str, slot: Slot, g: Any, kept: dict, tree: Any, i: int) -> Any:
    """What stands for a coded slot: the update itself where all parts fit it."""
    if g is None or None in kept.values():
        return None
    shapes = {part: jnp.shape(x) for part, x in kept.items()}
    masked = all(map(is_nothing, kept.values()))
    if masked or shapes == keeping.shapes_kept(slot, g.shape):
        return g
    raise _checks.AdamxError(
        f"update: what is kept of the slot `{name}` must fit the update, got {shapes} "
        f"at `{place(tree, i)}`, where {slot.codec!r} keeps "
        f"{keeping.shapes_kept(slot, g.shape)} for {g.shape}. Pass the gradients of "
        f"the same parameters, and the state of the same storage."
    )
