"""Running a rule on every leaf of a tree: `init` and `update`.

Only these methods of a rule are used: `slots`, `needs`, `shared`, `partial_sums`,
`from_sums` and `apply`.
"""

import functools
import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from .. import errors
from ..numerics.arithmetic import compute_dtype
from ..numerics.random_bits import OfRows, word_of
from ..numerics.sharding import is_divided, is_on_host, placed_like
from . import divisions, hyperparams, stacks, tree_checks
from .leaf_functions import Form, Inputs, leaf_functions
from .leaves import column, place, slot_column
from .paths import flatten, paths
from .placement import Placed, place_of, totals
from .slot_trees import start_tree, with_columns
from .state import PLACES, TABLES, Labelled, State

# ---- initialisation ----------------------------------------------------------


def start(rule: Any, params: Any) -> dict[str, Any]:
    """Initialise the slots of a rule."""
    leaves = flatten(params)[0]
    for i, p in enumerate(leaves):
        if p is not None:
            tree_checks.check_param(p, params, i)
    chosen = selected(rule, params, len(leaves))
    at_place = Placed(rule)
    places: list = [None] * len(leaves)
    for i, p in enumerate(leaves):
        if p is not None:
            where = functools.partial(place, params, i)
            places[i] = place_of(rule, chosen[i], [p], where)
    declared, slots = rule.slots(), {}
    known = any(slot.by_path or slot.codec for slot in declared.values())
    by_leaf = paths(params) if known else [""] * len(leaves)
    for name, slot in declared.items():
        tree_checks.check_start(name, slot.init)
        if slot.shared:
            slots[name] = jnp.full((), slot.init, shared_dtype())
            continue
        if callable(slot.init):
            tree_checks.check_values(name, slot, params, chosen)
        given = zip(places, chosen, leaves, by_leaf, strict=True)
        each = [
            divisions.begun(name, at_place.slots(at, masks)[name], p, path)
            for at, masks, p, path in given
        ]
        slots[name] = start_tree(slot, params, chosen, by_leaf, each)
    return slots


def init(rule: Any, params: Any) -> State:
    return State(jnp.zeros((), jnp.int32), start(rule, params))


def shared_dtype() -> Any:
    """Return JAX's own width of numbers: float64 under x64, else float32."""
    return jax.dtypes.canonicalize_dtype(jnp.float64)


# ---- masks, columns, extra arguments -----------------------------------------


def selected(rule: Any, tree: Any, n: int) -> list[frozenset]:
    """Return, for each leaf, the masks of the rule that select it."""
    chosen: list[set] = [set() for _ in range(n)]
    if n:
        for mask in rule._masks():
            for masks, label in zip(chosen, mask.labels(tree), strict=True):
                if label is True:
                    masks.add(mask)
                elif label:
                    masks |= {mask, Labelled(mask, label)}
    return list(map(frozenset, chosen))


def _extra_columns(
    rule: Any, extra: dict, treedef: Any, n: int
) -> tuple[dict[str, Any], dict[str, list]]:
    """Return the extra arguments that the rule needs, shared or one for each leaf."""
    one, each = {}, {}
    for name in sorted(rule.needs() - {"param", "path", "random"}):
        if name not in extra:
            raise errors.AdamxTypeError(
                f"update: the extra argument `{name}` must be given, got "
                f"{sorted(extra)}. Call tx.update(updates, state, params, {name}=...)."
            )
        alone = jax.tree.structure(extra[name]) == jax.tree.structure(0) and n != 1
        if alone or name in rule._whole_extra():
            one[name] = extra[name]
        else:
            each[name] = treedef.flatten_up_to(extra[name])
    return one, each


# ---- one step ----------------------------------------------------------------


class Step(NamedTuple):
    """Hold the inputs of a step besides the updates and the slots.

    `dtypes` are those of the gradients, to which the updates of the last rule sequence
    are cast; those of the others stay in the dtype of the arithmetic.
    """

    params: Any
    count: Any
    extra: dict[str, Any]
    dtypes: Sequence[Any]
    last: bool = True
    applied: bool = False  # whether the new parameters are returned, not the updates


def _shared(rule: Any, kept: dict[str, Any], count: Any) -> dict[str, Any]:
    """Compute the values that all leaves share, once per step."""
    dtype = shared_dtype()
    return rule.cast(dtype).shared(kept, count.astype(dtype))


def _inputs(rule: Any, leaves: list, treedef: Any, updates: Any, step: Step) -> list:
    """Collect and check the inputs of each leaf."""
    n = len(leaves)
    needs = rule.needs()
    reads_param = "param" in needs
    if reads_param and step.params is None:
        raise errors.AdamxTypeError(
            f"update: {rule._reader()} needs the parameters, got params=None. "
            f"Call tx.update(updates, state, params)."
        )
    params = [None] * n
    if step.params is not None:
        params = column("params", step.params, updates)
    for i, (g, p) in enumerate(zip(leaves, params, strict=True)):
        if g is not None:
            tree_checks.check_leaf(g, p, updates, i, step.params is not None)
    one, each = _extra_columns(rule, step.extra, treedef, n)
    coded = any(slot.codec is not None for slot in rule.slots().values())
    words: list = [None] * n
    if n and (coded or "random" in needs):
        # hidden from XLA, or it builds them into kernels, and those of equal leaves are
        # compiled one by one
        words = jax.lax.optimization_barrier(list(map(word_of, paths(updates))))
    for number, rows in step.extra.get(PLACES, {}).items():
        i = int(number)
        words[i] = None if words[i] is None else OfRows(words[i], rows)
    return [
        Inputs(
            g,
            p if reads_param else None,
            one | {name: here[i] for name, here in each.items()},
            word,
        )
        for i, (g, p, word) in enumerate(zip(leaves, params, words, strict=True))
    ]


def _forms(rule: Any, treedef: Any, updates: Any, step: Step) -> list[Form]:
    n = treedef.num_leaves
    tree, known = updates, [flatten(updates)[0]]
    if step.params is not None:  # what they hold where there is no gradient is ignored
        each = column("params", step.params, updates)
        # a None among the updates may stand for a whole subtree
        leaves = [p if jax.tree_util.all_leaves([p]) else None for p in each]
        tree = treedef.unflatten(leaves)
        known.append(leaves)
    chosen = selected(rule, tree, n)
    places: list = [None] * n
    for i, arrays in enumerate(zip(*known, strict=True)):
        if arrays[0] is not None:
            where = functools.partial(place, updates, i)
            places[i] = place_of(rule, chosen[i], arrays, where)
    by_leaf = paths(updates) if "path" in rule.needs() else [None] * n
    dtypes = step.dtypes
    if not step.last or rule._has_place("last"):
        dtypes = [None if d is None else compute_dtype(d) for d in dtypes]
    return list(map(Form, chosen, by_leaf, dtypes, places))


def _check_divisions(
    each: list, columns: dict, leaves: list, forms: list, updates: Any, step: Step
) -> None:
    """Check that what codecs keep is divided as the leaves are, where it is known."""
    coded = [n for n in columns if any(slots[n].codec is not None for slots in each)]
    if not coded:
        return
    known = leaves
    if step.params is not None:
        known = column("params", step.params, updates)
    named = zip(paths(updates), leaves, known, strict=True)
    for i, (path, g, p) in enumerate(named):
        for name in coded if g is not None and g.size else ():
            kept = columns[name][i]
            divisions.check_kept(name, each[i][name], kept, p, path, forms[i])


def run_rule(
    rule: Any, updates: Any, slots: dict[str, Any], step: Step
) -> tuple[Any, dict[str, Any]]:
    """Run one step of a rule, its schedules resolved, on each leaf of a tree."""
    tree_checks.check_scalars(rule)
    declared = rule.slots()
    tree_checks.check_present(declared, slots)
    leaves, treedef = flatten(updates)
    inputs = _inputs(rule, leaves, treedef, updates, step)
    forms = _forms(rule, treedef, updates, step)
    columns = {
        name: slot_column(name, slot, slots[name], updates)
        for name, slot in declared.items()
        if not slot.shared
    }
    at_place = Placed(rule)
    each = [at_place.slots(form.place, form.selected) for form in forms]
    tree_checks.check_slots(each, columns, leaves, updates)
    tree_checks.check_selected(each, columns, leaves, forms, updates)
    _check_divisions(each, columns, leaves, forms, updates, step)
    live = [i for i, g in enumerate(leaves) if g is not None and g.size]
    for i, g in enumerate(leaves):
        if g is not None and not g.size:
            leaves[i] = jnp.asarray(g, forms[i].dtype)

    kept = {name: slots[name] for name, slot in declared.items() if slot.shared}
    shared = kept | _shared(rule, kept, step.count)
    methods = leaf_functions(rule)

    def kept_of(i: int) -> dict[str, Any]:
        return {name: each[i] for name, each in columns.items()}

    if rule._widest_scope() == "tree":
        parts = []
        for i in live:
            given = forms[i], kept_of(i), shared, step.count, inputs[i]
            parts.append((forms[i].place, methods.partial_sums(*given)))
        sums = totals(rule, parts)
        shared = shared | rule.cast(shared_dtype()).from_sums(sums, shared)
    if rule._has_stacks():
        held = {}
        for i in live:
            given = forms[i], kept_of(i), shared, step.count, inputs[i]
            held[i] = methods.matrices(*given)
        for i, done in stacks.run(methods.together, held).items():
            inputs[i] = inputs[i]._replace(together=done)
    calls = [(forms[i], kept_of(i), shared, step.count, inputs[i]) for i in live]
    olds = None
    if step.applied:
        every = column("params", step.params, updates)
        olds = [every[i] for i in live]
    if rule._is_fused():
        # imported when it is needed, as native loops take long to import
        fused_leaves = importlib.import_module("adamx.engine.fused_leaves")
        given = step.extra.get(TABLES, {}).items()
        tables = {int(i): table for i, table in given}
        results = fused_leaves.run(rule, methods, calls, live, olds, tables)
    else:
        pairs = zip(calls, olds or [None] * len(calls), strict=True)
        results = [
            methods.apply(*given, x._replace(old=old)) for (*given, x), old in pairs
        ]
    for i, (result, new) in zip(live, results, strict=True):
        leaves[i] = result
        for name, kept_of_leaves in columns.items():
            kept_of_leaves[i] = new[name]
    new_slots = {name: shared[name].astype(old.dtype) for name, old in kept.items()}
    for name, kept_of_leaves in columns.items():
        new_slots[name] = with_columns(declared[name], slots[name], kept_of_leaves)
    return treedef.unflatten(leaves), slots | new_slots


def update(
    rule: Any,
    updates: Any,
    state: State,
    params: Any,
    extra: dict[str, Any],
    applied: bool = False,
) -> tuple[Any, State]:
    """Run one step of one rule on a tree."""
    slots = slots_of(state)
    count = optax.safe_increment(state.count)
    now = hyperparams.at(rule, state.count)
    dtypes = dtypes_of(updates, params)
    step = Step(params, count, extra, dtypes, applied=applied)
    updates, slots = run_rule(now, updates, slots, step)
    return updates, State(count, slots, state.inner)


def is_count_known(state: Any) -> bool:
    """Return whether the count of a state is a number, and not being traced."""
    return isinstance(state, State) and not isinstance(state.count, Tracer)


def slots_of(state: Any) -> dict[str, Any]:
    """Return the slots of a state, or raise an error if it is not an adamx state."""
    if not isinstance(state, State):
        raise errors.type_error(
            "update",
            "the state must be the one that `init` returned",
            type(state).__name__,
            "Call tx.init(params), then tx.update(updates, state, params).",
        )
    return dict(state.slots)


def dtypes_of(updates: Any, params: Any) -> list:
    """Return the dtypes that the updates get, None for a leaf without a gradient.

    It is that of the gradient, or that of the parameter if it is wider: a parameter
    must not lose a step because its gradient came in fewer bits.
    """
    leaves = flatten(updates)[0]
    column_of = [None] * len(leaves)
    if params is not None:
        column_of = column("params", params, updates)
    return [
        g if g is None else _wider(g, p) for g, p in zip(leaves, column_of, strict=True)
    ]


def _wider(g: Any, p: Any) -> Any:
    if not (hasattr(p, "dtype") and jnp.issubdtype(p.dtype, jnp.floating)):
        return g.dtype
    with jax.numpy_dtype_promotion("standard"):  # it is the rule, also in strict mode
        return jnp.promote_types(g.dtype, p.dtype)


def widen(tree: Any) -> Any:
    """Cast a tree to the dtype of the arithmetic, for external transformations."""

    def one(x: Any) -> Any:
        if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        dtype = compute_dtype(x.dtype)
        if isinstance(x, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(x.shape, dtype, sharding=x.sharding)
        return x if x.dtype == dtype else x.astype(dtype)

    return jax.tree.map(one, tree)


def laid_out_as(state: Any, params: Any) -> Any:
    """Give what is like the parameters in a foreign state their layout on a mesh.

    Under `jit` a transformation that starts at zeros loses it. What is divided by its
    type already, as by a `zero1` inside, stays so.
    """
    structure = jax.tree.structure(params)

    def is_like(x: Any) -> bool:
        return jax.tree.structure(x) == structure

    def one(x: Any, p: Any) -> Any:
        traced = isinstance(x, jax.Array) and isinstance(p, Tracer)
        if not traced or x.shape != p.shape or is_on_host(x) or is_divided(x):
            return x
        # computed from the parameter, or `jit` would not know the devices
        return placed_like(jnp.where(p == p, x, x), p)

    def laid_out(x: Any) -> Any:
        return jax.tree.map(one, x, params) if is_like(x) else x

    return jax.tree.map(laid_out, state, is_leaf=is_like)


def narrow(tree: Any, dtypes: Sequence[Any]) -> Any:
    """Cast the updates back to the dtypes of the gradients."""
    leaves, treedef = flatten(tree)
    pairs = zip(leaves, dtypes, strict=True)
    cast = [x if x is None or x.dtype == d else x.astype(d) for x, d in pairs]
    return treedef.unflatten(cast)
