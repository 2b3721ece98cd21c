"""The leaves of a fused rule: their functions given to JAX as one operation.

`adamx.native` makes native loops of it, 32 leaves in one call.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

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
    olds = [None] * len(calls) if params is None else params
    if rule._widest_scope() == "tensor" or _are_typed(calls, olds):
        results = [methods.apply(*call) for call in calls]
        return [
            (_applied(p, u), new) for p, (u, new) in zip(olds, results, strict=True)
        ]
    function, arrays = methods.step
    structure = jax.tree.structure(rule)
    modes = jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion  # pyright: ignore[reportAttributeAccessIssue]
    steps, trees = [], []
    for (form, kept, *rest), param, number in zip(calls, olds, numbers, strict=True):
        flat, tree = jax.tree.flatten((kept, arrays, *rest, param))
        flat = [x if isinstance(x, jax.Array) else jnp.asarray(x) for x in flat]
        avals = tuple((x.shape, x.dtype, x.weak_type) for x in flat)
        traced = _traced(structure, form, tree, avals, modes, _Uncompared(function))
        steps.append((traced.loop, flat, number))
        trees.append(traced.results)
    each = zip(trees, leaf_steps(steps), strict=True)
    return [jax.tree.unflatten(tree, flat) for tree, flat in each]


def _are_typed(calls: Any, params: Any) -> bool:
    """Return whether arrays say in their types how devices share them."""
    for x in jax.tree.leaves(([call[1:] for call in calls], params)):
        known = jax.typeof(x)
        manual = getattr(getattr(known, "manual_axis_type", None), "varying", ())
        if manual or any(getattr(known.sharding, "spec", ())):
            return True
    return False


def _applied(param: Any, update: Any) -> Any:
    """Return the new parameter, or the update if there is none."""
    if param is None:
        return update
    with jax.numpy_dtype_promotion("standard"):  # an update may be the wider one
        return optax.apply_updates(param, update)


class _Uncompared:
    """A function that equals any other: the arguments beside it say what it does."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Uncompared)

    def __hash__(self) -> int:
        return 0


class _Traced(NamedTuple):
    loop: LeafLoop
    results: Any  # the structure of what the function returns


@functools.lru_cache(maxsize=1024)
def _traced(
    structure: Any, form: Any, tree: Any, avals: Any, modes: Any, step: _Uncompared
) -> _Traced:
    """Trace the function of a leaf, once for leaves that are alike.

    `modes` are what else a trace depends on.
    """

    def of_flat(*flat: Any) -> Any:
        kept, *given, param = jax.tree.unflatten(tree, flat)
        update, new = step.function(form, kept, *given)
        return _applied(param, update), new

    abstract = [jax.ShapeDtypeStruct(s, d, weak_type=w) for s, d, w in avals]
    closed, shapes = jax.make_jaxpr(of_flat, return_shape=True)(*abstract)
    results = jax.tree.structure(shapes)
    kept, *_, x, param = jax.tree.unflatten(tree, range(len(avals)))
    first, new = jax.tree.unflatten(results, range(results.num_leaves))
    pairs = list(zip(jax.tree.leaves(kept), jax.tree.leaves(new), strict=True))
    pairs += [] if param is None else [(param, first)]
    outs = [(a.shape, a.dtype) for a in jax.tree.leaves(shapes)]
    same = tuple((i, o) for i, o in pairs if avals[i][:2] == outs[o])
    source = Source(structure, form, tree)
    return _Traced(LeafLoop(closed, avals[x.update][0], same, source), results)
