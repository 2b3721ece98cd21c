"""The leaves of a fused rule: their functions given to JAX as one operation.

`adamx.native` makes native loops of it, 32 leaves in one call.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..native.leaf_loop import LeafLoop
from ..native.primitive import leaf_steps
from .leaf_functions import LeafFunctions
from .leaf_parts import Source


def run(
    rule: Any,
    methods: LeafFunctions,
    calls: Sequence[tuple],
    numbers: Sequence[int],
    params: Sequence[Any] | None,
) -> list[tuple[Any, dict[str, Any]]]:
    """Return for each leaf the update and the new slots.

    Args:
        rule: the rule, its schedules resolved.
        methods: its functions.
        calls: for each leaf its form, its slots, the shared values, the count and its
            inputs.
        numbers: the places of the leaves in the tree.
        params: the parameters, to return the new ones in the place of the updates.
    """
    arrays, function = methods.once
    structure = jax.tree.structure(rule)
    steps, trees = [], []
    for place, (form, kept, shared, count, x) in enumerate(calls):
        param = None if params is None else params[place]
        given = kept, arrays, shared, count, x, param
        flat, tree = jax.tree.flatten(given)
        flat = [a if hasattr(a, "aval") else jnp.asarray(a) for a in flat]
        avals = tuple((a.shape, a.dtype, bool(a.weak_type)) for a in flat)
        made = _loop(structure, form, tree, avals, _Function(function))
        steps.append((made.loop, flat, numbers[place]))
        trees.append(made.tree)
    return [
        jax.tree.unflatten(tree, flat)
        for tree, flat in zip(trees, leaf_steps(steps), strict=True)
    ]


class _Function:
    """The function of a leaf, left out of comparisons: the rule's structure decides."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Function)

    def __hash__(self) -> int:
        return 0


class _Traced:
    def __init__(self, loop: LeafLoop, tree: Any) -> None:
        self.loop, self.tree = loop, tree


@functools.lru_cache(maxsize=1024)
def _loop(structure: Any, form: Any, tree: Any, avals: Any, made: _Function) -> _Traced:
    """Trace the function of a leaf, once for leaves that are alike."""

    def of_flat(*flat: Any) -> Any:
        *given, param = jax.tree.unflatten(tree, flat)
        kept, *rest = given
        update, new = made.function(form, kept, *rest)
        if param is None:
            return update, new
        with jax.numpy_dtype_promotion("standard"):  # an update may be the wider one
            return optax.apply_updates(param, update), new

    abstract = [jax.ShapeDtypeStruct(s, d, weak_type=w) for s, d, w in avals]
    closed, shapes = jax.make_jaxpr(of_flat, return_shape=True)(*abstract)
    numbered = jax.tree.unflatten(tree, range(len(avals)))
    kept, _, _, _, x, param = numbered
    outputs = jax.tree.unflatten(jax.tree.structure(shapes), range(len(closed.out_avals)))
    first, new = outputs
    pairs = list(zip(jax.tree.leaves(kept), jax.tree.leaves(new), strict=True))
    if param is not None:
        pairs.append((param, first))
    alike = tuple(
        (i, o)
        for i, o in pairs
        if avals[i][:2] == (closed.out_avals[o].shape, closed.out_avals[o].dtype)
    )
    source = Source(structure, form, tree)
    loop = LeafLoop(closed, avals[x.update][0], alike, source)
    return _Traced(loop, jax.tree.structure(shapes))
