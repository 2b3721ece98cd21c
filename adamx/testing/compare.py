"""How two trees differ, in a sentence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..engine.paths import path_of


def signature(tree: Any) -> Any:
    """Return what a program is keyed on: structure, shapes, dtypes and weak types."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(
        (jnp.shape(x), jnp.result_type(x).name, bool(jax.typeof(x).weak_type))
        for x in leaves
    )


def stacked(trees: Any) -> Any:
    """Return one tree with a leading axis out of several equal ones."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def other_form(got: Any, want: Any) -> str | None:
    """Return how structure, shapes or dtypes of two trees differ; None if not."""
    if jax.tree.structure(got) != jax.tree.structure(want):
        return f"{jax.tree.structure(got)} for {jax.tree.structure(want)}"
    for (keys, a), b in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(want), strict=True
    ):
        one, other = _shown(a), _shown(b)
        if one != other:
            return f"{one} for {other} at `{path_of(keys) or 'the only leaf'}`"
    return None


def _shown(x: Any) -> str:
    weak = " (weak)" if jax.typeof(x).weak_type else ""
    return f"{jnp.result_type(x).name}{list(jnp.shape(x))}{weak}"


def other_numbers(
    got: Any, want: Any, ulps: float = 0, beside: Any = None
) -> str | None:
    """Return how the numbers of two trees differ; None if not.

    Args:
        got: a tree.
        want: another, of the same form.
        ulps: how many units of the last place of the largest number of a leaf they may
            differ.
        beside: a tree of the same leaves, whose largest numbers count too: a step that
            is the difference of two parameters has their rounding.
    """
    form = other_form(got, want)
    if form is not None:
        return form
    others = jax.tree.leaves(want if beside is None else beside)
    for (keys, a), b, c in zip(
        jax.tree_util.tree_leaves_with_path(got),
        jax.tree.leaves(want),
        others,
        strict=True,
    ):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        unit = float(jnp.finfo(a.dtype).eps) if a.dtype.kind in "fV" else 0.0
        x, y = np.asarray(a, np.complex128), np.asarray(b, np.complex128)
        size = np.max(np.abs(y), initial=0.0)
        if beside is not None:
            size = max(size, np.max(np.abs(np.asarray(c)), initial=0.0))
        allowed = ulps * unit * size
        off = np.abs(x - y)
        wrong = ~((off <= allowed) | (np.isnan(x) & np.isnan(y)) | (x == y))
        if wrong.any():
            at = np.unravel_index(int(np.argmax(wrong)), wrong.shape) if x.ndim else ()
            return (
                f"{_number(x[at])} for {_number(y[at])} at "
                f"`{path_of(keys) or 'the only leaf'}`{list(map(int, at)) or ''}"
            )
    return None


def _number(x: Any) -> str:
    return f"{x.real:.7g}" if not x.imag else f"{x:.7g}"


def not_finite(tree: Any) -> str | None:
    """Return where a tree has a number that is not finite; None if nowhere."""
    for keys, x in jax.tree_util.tree_leaves_with_path(tree):
        if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
            continue
        if not np.all(np.isfinite(np.asarray(x, np.complex128))):
            return (
                f"a number that is not finite at `{path_of(keys) or 'the only leaf'}`"
            )
    return None
