"""Errors for trees, leaves and slots that do not match.

The checks run while tracing, so the compiled step contains none.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from .. import errors
from .leaves import column, place
from .paths import flatten
from .slots import as_kept, is_kept, shape_of, shapes, shapes_kept
from .state import Slot, is_absent


def check_param(p: Any, tree: Any, i: int) -> None:
    if not (hasattr(p, "shape") and hasattr(p, "dtype")):
        raise errors.type_error(
            "init",
            f"every leaf of the parameters must be an array, `{place(tree, i)}` is not",
            f"{type(p).__name__} {errors.shown(p)}",
            "Pass the arrays only, for example eqx.filter(model, eqx.is_inexact_array),"
            " or jnp.asarray(number, float).",
        )
    if jnp.issubdtype(p.dtype, jnp.complexfloating):
        raise errors.type_error(
            "init",
            f"every parameter must be real, `{place(tree, i)}` is not",
            f"dtype {p.dtype}",
            "Wrap the optimizer in optax.contrib.split_real_and_imaginary.",
        )
    if not jnp.issubdtype(p.dtype, jnp.floating):
        raise errors.type_error(
            "init",
            f"every parameter must be floating, `{place(tree, i)}` is not",
            f"dtype {p.dtype}",
            "Keep counters and indices out of the parameters, or mask them with "
            "optax.masked.",
        )


def check_start(name: str, start: Any) -> None:
    """Raise an error if a slot starts at more than one number."""
    if not callable(start) and jnp.shape(start):
        raise errors.AdamxError(
            f"init: the slot `{name}` must start at one number, got "
            f"{errors.shown(start)}. Use jax.vmap to run several at once."
        )


def check_values(name: str, slot: Slot, params: Any, selected: list) -> None:
    """Raise an error if a slot starts at values of parameters that have only shapes."""
    for i, p in enumerate(flatten(params)[0]):
        if isinstance(p, jax.ShapeDtypeStruct) and is_kept(slot, selected[i]):
            raise errors.AdamxError(
                f"init: the slot `{name}` starts at the values of the parameters, got "
                f"a ShapeDtypeStruct for `{place(params, i)}`, which has none. Pass "
                f"the arrays; for the shapes of the state, as the target of Orbax, "
                f"call adamx.abstract_state(tx, params)."
            )


def as_arrays(tree: Any) -> Any:
    """Return a tree whose Python floats are arrays, as they are for Optax."""
    if not any(isinstance(x, float) for x in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda x: jnp.asarray(x) if type(x) is float else x, tree)


def with_gradients(updates: Any, params: Any) -> Any:
    """Return the parameters, with `None` where there is no gradient.

    A whole model may be given as the parameters: its functions, strings and counters
    have no gradient.
    """
    others = [x for x in jax.tree.leaves(params) if not _is_array(x)]
    if params is None or not others:
        return params
    leaves, treedef = flatten(updates)
    here = column("params", params, updates)
    kept = [None if g is None else p for g, p in zip(leaves, here, strict=True)]
    return as_arrays(treedef.unflatten(kept))


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype") and hasattr(x, "shape")


def check_updates(updates: Any) -> None:
    """Raise an error that names the leaf if an update is not an array."""
    for i, g in enumerate(flatten(updates)[0]):
        if not (g is None or (hasattr(g, "dtype") and hasattr(g, "shape"))):
            raise errors.type_error(
                "update",
                f"every update must be an array, `{place(updates, i)}` is not",
                f"{type(g).__name__} {errors.shown(g)}",
                "Pass jnp.asarray(number), or None for a leaf without a gradient.",
            )


def check_leaf(g: Any, p: Any, updates: Any, i: int, given: bool) -> None:
    """Check an update and its parameter, which is given if there are parameters."""
    if given and p is None:
        raise errors.type_error(
            "update",
            f"a leaf without a parameter must have no gradient, `{place(updates, i)}` "
            f"has one",
            f"None in params and an array of shape {g.shape} in updates",
            "Put None into the updates, too, or pass the parameter.",
        )
    if p is not None and not (hasattr(p, "dtype") and hasattr(p, "shape")):
        raise errors.type_error(
            "update",
            f"every parameter must be an array, `{place(updates, i)}` is not",
            f"{type(p).__name__} {errors.shown(p)}",
            "Pass the parameters that `init` was given.",
        )
    if not jnp.issubdtype(g.dtype, jnp.floating):
        raise errors.type_error(
            "update",
            f"every update must be real and floating, `{place(updates, i)}` is not",
            f"dtype {g.dtype}",
            "Differentiate with respect to floating parameters only; for complex ones "
            "wrap the optimizer in optax.contrib.split_real_and_imaginary.",
        )
    if p is not None and p.shape != g.shape:
        raise errors.AdamxError(
            f"update: updates and params must have equal shapes, got {g.shape} and "
            f"{p.shape} at `{place(updates, i)}`. Pass the gradient of this parameter."
        )


def check_scalars(rule: Any) -> None:
    for h in jax.tree.leaves(rule):
        if jnp.shape(h):
            raise errors.AdamxError(
                f"update: a hyperparameter must be one number, got an array of shape "
                f"{jnp.shape(h)} in {errors.shown(rule)}. Use jax.vmap to run several "
                f"at once."
            )


def check_present(declared: dict[str, Slot], slots: dict[str, Any]) -> None:
    missing = sorted(declared.keys() - slots.keys())
    if missing:
        raise errors.AdamxError(
            f"update: the state must hold the slots {sorted(declared)}, "
            f"{missing} is missing. It was made by another transformation; "
            f"complete it with adamx.restore(tx, state, params)."
        )


def check_slots(
    declared: list[dict[str, Slot]], columns: dict[str, list], leaves: list, tree: Any
) -> None:
    for name, kept_of_leaves in columns.items():
        for i, (g, s) in enumerate(zip(leaves, kept_of_leaves, strict=True)):
            slot = declared[i][name]
            if slot.shape_of is not None or callable(slot.init):
                continue
            if isinstance(s, dict):
                s = _only_shape(name, slot, g, s, tree, i)
            if g is not None and s is None:
                raise errors.AdamxError(
                    f"update: a leaf without a parameter must have no gradient, got "
                    f"one for `{place(tree, i)}`. Pass the gradients of the same "
                    f"parameters that `init` was given."
                )
            if g is not None and not is_absent(s) and s.shape != g.shape:
                raise errors.AdamxError(
                    f"update: updates must have the shapes that `init` was given, got "
                    f"{g.shape} for `{place(tree, i)}`, whose slot `{name}` has "
                    f"{s.shape}. Pass the gradients of the same parameters."
                )


def check_selected(
    declared: list[dict[str, Slot]],
    columns: dict[str, list],
    leaves: list,
    forms: list,
    tree: Any,
) -> None:
    """Raise an error if a leaf that the masks select has nothing in the state."""
    for name, kept_of_leaves in columns.items():
        each = zip(leaves, kept_of_leaves, forms, strict=True)
        for i, (g, kept, form) in enumerate(each):
            slot = declared[i][name]
            if g is None or not g.size or not is_kept(slot, form.selected):
                continue
            if not all(map(is_absent, jax.tree.leaves(kept))):
                continue
            if math.prod(shape_of(slot, g, form.selected, form.path)):
                raise errors.AdamxError(
                    f"update: a leaf that a mask selects must have been selected by "
                    f"`init`, got nothing kept of the slot `{name}` for "
                    f"`{place(tree, i)}`. Make the state anew with tx.init(params), "
                    f"and let the mask depend on paths and shapes only."
                )


def _only_shape(name: str, slot: Slot, g: Any, kept: dict, tree: Any, i: int) -> Any:
    """Check what a codec keeps of a slot against the update; return the update."""
    if g is None or None in kept.values():
        return None
    there = shapes(kept)
    masked = all(map(is_absent, kept.values()))
    if masked or there == shapes_kept(as_kept(slot, kept, g.shape), g.shape):
        return g
    raise errors.AdamxError(
        f"update: what is kept of the slot `{name}` must fit the update, got {there} "
        f"at `{place(tree, i)}`, where {slot.codec!r} keeps "
        f"{shapes_kept(slot, g.shape)} for {g.shape}. Pass the gradients of "
        f"the same parameters, and the state of the same storage."
    )
