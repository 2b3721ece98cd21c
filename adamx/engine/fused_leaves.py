"""The leaves of a fused rule: their functions given to JAX as one operation.

`adamx.native` makes native loops of it, 32 leaves in one call. Rows of a table are
stepped in the table where its native loop can do that, each table in its own call.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from ..native import row_loop
from ..native.leaf_loop import LeafLoop
from ..native.primitive import leaf_steps
from ..numerics.random_bits import OfRows
from .leaf_functions import LeafFunctions
from .leaf_parts import Source
from .leaves import applied
from .row_steps import RowStep, row_step_p
from .state import RowTables


def run(
    rule: Any,
    methods: LeafFunctions,
    calls: Sequence[tuple],
    numbers: Sequence[int],
    params: Sequence[Any] | None,
    tables: Mapping[int, RowTables],
) -> list[tuple[Any, dict[str, Any]]]:
    """Return for each leaf the update and the new slots.

    Of a leaf in `tables`, the new slots and the new parameter may be the whole tables
    in the place of the rows.

    Args:
        rule: the rule, its schedules resolved.
        methods: its functions.
        calls: for each leaf its form, its slots, the shared values, the count and its
            inputs.
        numbers: the places of the leaves in the tree.
        params: the parameters, to return the new ones in the place of the updates.
        tables: the whole tables of leaves that are rows of them, by number.
    """
    olds = [None] * len(calls) if params is None else params
    if rule._widest_scope() == "tensor" or _are_typed(
        [call[1:] for call in calls], olds
    ):
        pairs = zip(olds, (methods.apply(*call) for call in calls), strict=True)
        return [(_maybe_applied(p, u), new) for p, (u, new) in pairs]
    steps, trees = [], {}
    found: dict[int, Any] = {}
    for (form, *given), param, number in zip(calls, olds, numbers, strict=True):
        one = _given(rule, methods, form, (*given, param))
        if number in tables:
            found[number] = _stepped_in(tables[number], rule, methods, one, number)
            if found[number] is not None:
                continue
        traced = one.traced(one.avals)
        steps.append((traced.loop, one.flat, number))
        trees[number] = traced.results
    for (number, tree), flat in zip(trees.items(), leaf_steps(steps), strict=True):
        found[number] = jax.tree.unflatten(tree, flat)
    return [found[number] for number in numbers]


def _are_typed(*trees: Any) -> bool:
    """Return whether arrays say in their types how devices share them."""
    for x in jax.tree.leaves(trees):
        known = jax.typeof(x)
        manual = getattr(getattr(known, "manual_axis_type", None), "varying", ())
        mesh: Any = known.sharding.mesh
        # on a mesh of several devices also if each has the whole array
        several = not mesh.empty and mesh.size > 1
        explicit = several and AxisType.Explicit in mesh.axis_types
        if manual or explicit or any(getattr(known.sharding, "spec", ())):
            return True
    return False


def _maybe_applied(param: Any, update: Any) -> Any:
    """Return the new parameter, or the update if there is none."""
    return update if param is None else applied(param, update)


class _Given(NamedTuple):
    """What a leaf's function is given, flat, and how to trace it."""

    form: Any
    given: tuple  # the slots, the shared values, the count, the inputs, the parameter
    flat: list
    tree: Any
    avals: tuple
    traced: Callable[[tuple], "_Traced"]


def _given(rule: Any, methods: LeafFunctions, form: Any, given: tuple) -> _Given:
    function, arrays = methods.step
    structure = jax.tree.structure(rule)
    modes = jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion  # pyright: ignore[reportAttributeAccessIssue]
    kept, *rest = given
    flat, tree = jax.tree.flatten((kept, arrays, *rest))
    flat = [x if isinstance(x, jax.Array) else jnp.asarray(x) for x in flat]
    avals = tuple((x.shape, x.dtype, x.weak_type) for x in flat)

    def traced(avals: tuple) -> _Traced:
        return _traced(structure, form, tree, avals, modes, _Uncompared(function))

    return _Given(form, given, flat, tree, avals, traced)


def _stepped_in(
    table: RowTables, rule: Any, methods: LeafFunctions, rows: _Given, number: int
) -> tuple[Any, dict[str, Any]] | None:
    """Return the update (or the new parameter) and the slots of rows of a table.

    None if there is no native loop that steps rows in the whole table.
    """
    kept, shared, count, x, param = rows.given
    reads = x.param is not None or param is not None
    if x.together is not None or (reads and table.param is None):
        return None
    known = {name: table.slots.get(name) for name in kept}
    whole = [*jax.tree.leaves(known), *([table.param] if reads else [])]
    if None in known.values() or not whole or _are_typed(whole):
        return None
    # the same operands, with whole tables in the place of their rows
    word = x.word.word if isinstance(x.word, OfRows) else x.word
    old = None if x.param is None else table.param
    seen = x._replace(param=old, word=word)
    new = None if param is None else table.param
    one = _given(rule, methods, rows.form, (known, shared, count, seen, new))
    ids, n = {id(a) for a in whole}, whole[0].shape[0]
    tables = frozenset(i for i, a in enumerate(one.flat) if id(a) in ids)
    alike = [x.update, *jax.tree.leaves(x.extra)]
    alike = {id(a) for a in alike if jnp.shape(a) == x.update.shape}
    if any(a.shape and id(a) not in ids | alike for a in one.flat):
        return None  # it is no array of rows
    avals = tuple(
        ((n, *shape[1:]), *rest) if id(a) in alike else (shape, *rest)
        for a, (shape, *rest) in zip(one.flat, one.avals, strict=True)
    )
    traced = one.traced(avals)
    loop, results = traced.loop, traced.loop.closed.out_avals
    own = len(results) - len(loop.pairs)  # what is not written in place
    if own != int(param is None) or row_loop.why_not(loop, tables):
        return None
    places = None
    if isinstance(x.word, OfRows):
        places = next(i for i, a in enumerate(rows.flat) if a is x.word.rows)
    written = tuple((out, i) for i, out in loop.pairs)
    alone = rows.traced(rows.avals).loop
    each = {id(a): a for a in one.flat}
    operands = tuple(list(each).index(id(a)) for a in one.flat)
    step = RowStep(loop, alone, operands, tables, written, places, number)
    flat = row_step_p.bind(*each.values(), table.indices, step=step)
    return jax.tree.unflatten(traced.results, flat)


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
        return _maybe_applied(param, update), new

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
