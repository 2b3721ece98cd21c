"""`update` for row-sparse gradients: the rows are taken out, stepped, and put back.

The rule runs on the rows alone, as on any leaf of that shape: rows of the gradient, of
the parameter and of each slot. All other rows stay as they are, in every array. This is
right for rules whose elements do not depend on each other, and others are refused.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import errors
from ..numerics.row_sparse import RowSparse, put_rows, take_rows
from .leaves import column
from .paths import paths
from .slots import join, shapes_kept, split
from .state import PLACES, Slot, State, is_absent


def is_rows(x: Any) -> bool:
    return isinstance(x, RowSparse)


def _is_leaf(x: Any) -> bool:
    return x is None or is_rows(x)


def has_rows(updates: Any) -> bool:
    """Return whether a leaf of the updates is row-sparse."""
    return any(map(is_rows, jax.tree.leaves(updates, is_leaf=is_rows)))


class Table(NamedTuple):
    """A leaf with row-sparse gradients: its path, its gradient, and what selects it."""

    path: str
    rows: RowSparse
    selected: frozenset


def update(
    tx: Any, updates: Any, state: Any, params: Any, extra: dict[str, Any], run: Callable
) -> tuple[Any, Any]:
    """Run one step of `run`, the update of `tx`, on rows.

    Row-sparse leaves of the updates stay row-sparse in the result.
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=_is_leaf)
    names = paths(treedef.unflatten([None] * len(leaves)))
    whole: list[Any] = [None] * len(leaves)
    if params is not None:
        whole = column("params", treedef, params, updates)
    rows = {i: g.coalesce() for i, g in enumerate(leaves) if is_rows(g)}
    for i, g in rows.items():
        if whole[i] is not None and whole[i].shape != g.shape:
            raise errors.AdamxError(
                f"update: the rows of a gradient must be those of the parameter, got a "
                f"table of shape {g.shape} for `{names[i]}` of shape "
                f"{whole[i].shape}. Pass num_rows=params.shape[0]."
            )
    rules = list(rules_of(tx))
    full = treedef.unflatten(list(map(_like, leaves, whole)))
    selected = _selected(rules, full, len(leaves))
    tables = {i: Table(names[i], g, selected[i]) for i, g in rows.items()}
    declared: dict[str, Slot] = {}
    for rule in rules:
        declared |= rule.slots()
    for table in tables.values():
        _check_rules(rules, table)
        _check_masks(declared, table)
    tables = {i: _lengthened(declared, table) for i, table in tables.items()}

    def seen(tree: Any) -> Any:
        return _with(treedef, tree, tables, lambda x, t: _taken(x, t))

    view = treedef.unflatten(
        [tables[i].rows.rows if i in tables else g for i, g in enumerate(leaves)]
    )
    like = view
    if params is not None:
        params = seen(params)
        here = column("params", treedef, params, view)
        like = treedef.unflatten(list(map(_like, leaves, here)))
    if _selected(rules, like, len(leaves)) != selected:
        raise errors.AdamxError(
            "update: a mask must select the same leaves for rows as for whole tables, "
            "got one that depends on the number of rows. Let it depend on paths and "
            "ranks only."
        )
    extra = {name: _extra_of(x, treedef, tables) for name, x in extra.items()}
    extra[PLACES] = {str(i): table.rows.indices for i, table in tables.items()}

    def each_state(old: Any, change: Callable) -> Any:
        return jax.tree.map(change, old, is_leaf=lambda x: isinstance(x, State))

    def open_state(old: Any) -> Any:
        if not isinstance(old, State):
            return old
        slots = dict(old.slots)
        for name, slot in declared.items():
            if name in slots and not slot.shared:
                slots[name] = _slot_rows(name, slot, slots[name], treedef, tables)
        return old._replace(slots=slots)

    def closed(old: Any, new: Any) -> Any:
        if not isinstance(old, State):
            return new
        slots = dict(new.slots)
        for name, slot in declared.items():
            if name in slots and not slot.shared:
                slots[name] = _slot_back(
                    slot, old.slots[name], slots[name], treedef, tables
                )
        return new._replace(slots=slots)

    stepped, after = run(view, each_state(state, open_state), params, extra)
    after = jax.tree.map(closed, state, after, is_leaf=lambda x: isinstance(x, State))
    done = treedef.flatten_up_to(stepped)
    for i, table in tables.items():
        done[i] = table.rows.with_rows(done[i])
    return treedef.unflatten(done), after


# ---- what is given -----------------------------------------------------------


def rules_of(tx: Any) -> Iterator[Any]:
    """Yield the rules of a transformation; raise if a part of it is no rule."""
    if hasattr(tx, "parts"):
        for part in tx.parts:
            if hasattr(part, "tx") and not hasattr(part.tx, "_in_order"):
                raise errors.AdamxError(
                    f"update: every part of a chain must know row-sparse gradients, "
                    f"got {part.name!r}, which is not of adamx and would compute with "
                    f"their indices. Put adamx's part in its place, or make the "
                    f"gradient dense with `rows.todense()`."
                )
            yield from rules_of(getattr(part, "tx", part))
    elif hasattr(tx, "apply"):
        yield tx
    elif hasattr(tx, "inner"):
        yield from rules_of(tx.inner)
    else:
        raise errors.type_error(
            "update",
            "row-sparse gradients must be given to an optimizer of adamx's rules",
            repr(tx),
            "Use adamx.adamw and the like, or make the gradient dense with "
            "`rows.todense()`.",
        )


def _like(g: Any, p: Any) -> Any:
    """Return the parameter of an update, or something of its shape."""
    if p is not None:
        return p if jax.tree_util.all_leaves([p]) else None
    return jax.ShapeDtypeStruct(g.shape, g.dtype) if is_rows(g) else g


def _selected(rules: list[Any], tree: Any, n: int) -> list[frozenset]:
    """Return the masks of the rules that select each leaf, with their labels."""
    chosen: list[set] = [set() for _ in range(n)]
    masks = dict.fromkeys(mask for rule in rules for mask in rule._masks())
    for mask in masks:
        for own, label in zip(chosen, mask.labels(tree), strict=True):
            if label:
                own.add((mask, label))
    return list(map(frozenset, chosen))


def _check_rules(rules: list[Any], table: Table) -> None:
    """Raise an error for a rule that acts on the leaf and needs more than its rows."""
    masks = {mask for mask, _ in table.selected}
    for rule in rules:
        for one, where in rule._in_order():
            scope = one._widest_scope()
            if scope == "element" or not where <= masks or _sums_of_rows(one):
                continue
            over = "the whole tensor" if scope == "tensor" else "the whole tree"
            raise errors.AdamxError(
                f"update: a row-sparse gradient must be given to rules that act on "
                f"each element, got {errors.shorten(repr(one))} for `{table.path}`, "
                f"which reads {over}. Use an element-wise optimizer for it, with "
                f"Masked or optax.partition, or make the gradient dense with "
                f"`rows.todense()`."
            )


def _sums_of_rows(rule: Any) -> bool:
    """Return whether a rule reads sums of the update only, in which zeros add nothing.

    Then the rows that are not there change no sum: `ClipByGlobalNorm`.
    """
    kinds = [rule, *rule._parts()]
    if any(kind.scope == "tensor" for kind in kinds):
        return False
    if rule.slots() or rule.needs():
        return False
    try:
        with jax.ensure_compile_time_eval():
            sums = rule.partial_sums(jnp.zeros((1, 1)), {}, None)
            return not any(float(x) for x in sums.values())
    except (AttributeError, TypeError, jax.errors.JAXTypeError):
        return False  # it reads more than the update


def row_numbers(param: Any) -> Any:
    """Reduce a table to one number a row: `shape_of` of slots that count by row."""
    return param.sum(axis=tuple(range(1, param.ndim)))


def _check_masks(declared: dict[str, Slot], table: Table) -> None:
    """Raise an error if a rule that counts by row does not count those of the leaf."""
    masks = {mask for mask, _ in table.selected}
    for slot in declared.values():
        if slot.shape_of is row_numbers and not masks.issuperset(slot.masks):
            raise errors.AdamxError(
                f"update: `tables` must select every leaf with row-sparse gradients, "
                f"got one for `{table.path}`, which it does not select. Name it in "
                f"`tables`, and make the state anew."
            )


def _lengthened(declared: dict[str, Slot], table: Table) -> Table:
    """Return the table with padding, where a codec keeps few rows in another form."""
    g, masks = table.rows, {mask for mask, _ in table.selected}
    size = g.indices.shape[0]
    for name, slot in declared.items():
        if slot.codec is not None and masks.issuperset(slot.masks):
            size = _rows_of_codec(slot, name, table.path, g.shape, size)
    more = size - g.indices.shape[0]
    if not more:
        return table
    padding = jnp.full(more, g.num_rows, jnp.int32)
    indices = jnp.concatenate([g.indices, padding])
    rows = jnp.pad(g.rows, [(0, more)] + [(0, 0)] * (g.ndim - 1))
    longer = RowSparse._made(indices, rows, g.num_rows, True)
    return table._replace(rows=longer)


def _rows_of_codec(slot: Slot, name: str, path: str, shape: tuple, size: int) -> int:
    """Return the number of rows, at least `size`, that are kept as in the whole table.

    Raises:
        ValueError: a row is not kept apart from the others.
    """
    if not slot.codec or size == 0:
        return size
    n, kept = shape[0], shapes_kept(slot, shape)
    while True:
        here = shapes_kept(slot, (size, *shape[1:]))
        if all(_of_rows(kept[part], n, here[part], size) for part in kept):
            break
        if size > n:
            raise _crossing(slot, name, path, shape)
        size *= 2
    if not _keeps_rows_apart(slot, shape):
        raise _crossing(slot, name, path, shape)
    return size


def _of_rows(whole: tuple, n: int, part: tuple, size: int) -> bool:
    """Return whether `part` is the shape of some rows of what has the shape `whole`."""
    if whole == () or part == ():
        return whole == part
    return whole[0] == n and part == (size, *whole[1:])


@functools.lru_cache(maxsize=256)
def _keeps_rows_apart(slot: Slot, shape: tuple[int, ...]) -> bool:
    """Return whether what is kept of a row is the same beside any other rows."""
    size, kept = 2, shapes_kept(slot, shape)
    while any(
        not _of_rows(kept[part], shape[0], here, size)
        for part, here in shapes_kept(slot, (size, *shape[1:])).items()
    ):
        size *= 2
    some = np.random.default_rng(0).random((size, *shape[1:]), np.float32)
    other = some * np.where(np.arange(size) == 0, 100, 1).reshape(
        -1, *[1] * (len(shape) - 1)
    ).astype(np.float32)

    def half(shape: tuple[int, ...]) -> Any:
        return jnp.full(shape, 0.5, jnp.float32)

    codec: Any = slot.codec
    with jax.ensure_compile_time_eval():
        each = [codec.encode(jnp.asarray(x), half) for x in (some, other)]
        pairs = [(a[part], b[part]) for a, b in [each] for part in codec.parts]
        return all(
            is_absent(a) or bool((np.asarray(a)[1:] == np.asarray(b)[1:]).all())
            for a, b in pairs
        )


def _crossing(slot: Slot, name: str, path: str, shape: tuple) -> errors.AdamxError:
    width = math.prod(shape[1:])
    return errors.AdamxError(
        f"update: what is kept of a row must not depend on other rows where gradients "
        f"are row-sparse, got {slot.codec!r} of the slot `{name}` for `{path}` of "
        f"shape {shape}. Use blocks that divide a row, such as "
        f"Blockwise(block={width}), or Cast(jnp.bfloat16, 'stochastic')."
    )


# ---- rows out of trees, and back ---------------------------------------------


def _with(treedef: Any, tree: Any, tables: dict[int, Table], change: Callable) -> Any:
    leaves = treedef.flatten_up_to(tree)
    for i, table in tables.items():
        leaves[i] = change(leaves[i], table)
    return treedef.unflatten(leaves)


def _taken(x: Any, table: Table) -> Any:
    return x if x is None else take_rows(x, table.rows.indices)


def _extra_of(x: Any, treedef: Any, tables: dict[int, Table]) -> Any:
    """Return an extra argument; of one like the updates, the rows of the tables."""
    try:
        leaves = treedef.flatten_up_to(x)
    except (ValueError, TypeError, KeyError):
        return x
    if not all(jnp.shape(leaves[i]) == t.rows.shape for i, t in tables.items()):
        return x
    for i, table in tables.items():
        if is_rows(leaves[i]):
            leaves[i] = _aligned(leaves[i].coalesce(), table)
        else:
            leaves[i] = _taken(leaves[i], table)
    return treedef.unflatten(leaves)


def _aligned(other: RowSparse, table: Table) -> Any:
    """Return the rows of another row-sparse array at the indices of the table."""
    wanted, known = table.rows.indices, other.indices
    place = jnp.searchsorted(known, wanted)
    there = jnp.take(known, place, mode="clip") == wanted
    there = (there & (wanted < other.num_rows)).reshape(-1, *[1] * (other.ndim - 1))
    return jnp.where(there, jnp.take(other.rows, place, axis=0, mode="clip"), 0)


def _slot_rows(
    name: str, slot: Slot, trees: Any, treedef: Any, tables: dict[int, Table]
) -> Any:
    """Return a slot of the state with the rows of the tables only."""
    each = join(slot, trees, treedef.flatten_up_to)
    for i, table in tables.items():
        n = table.rows.num_rows
        for x in jax.tree.leaves(each[i]):
            if not is_absent(x) and x.shape[:1] != (n,):
                raise errors.AdamxError(
                    f"update: every slot of a leaf with row-sparse gradients must have "
                    f"one row for each of the {n}, got the slot `{name}` of "
                    f"`{table.path}` with the shape {x.shape}. Use an element-wise "
                    f"optimizer, and the state that its `init` returned."
                )
        each[i] = jax.tree.map(
            lambda x, t=table: x if is_absent(x) else _taken(x, t), each[i]
        )
    return _as_trees(slot, each, treedef)


def _slot_back(
    slot: Slot, old: Any, new: Any, treedef: Any, tables: dict[int, Table]
) -> Any:
    """Return the old slot with the new rows in it."""
    before = join(slot, old, treedef.flatten_up_to)
    after = join(slot, new, treedef.flatten_up_to)
    for i, table in tables.items():
        after[i] = jax.tree.map(
            lambda x, y, t=table: x if is_absent(x) else put_rows(x, t.rows.indices, y),
            before[i],
            after[i],
        )
    return _as_trees(slot, after, treedef)


def _as_trees(slot: Slot, each: list, treedef: Any) -> Any:
    columns = split(slot, each)
    if isinstance(columns, dict):
        return {part: treedef.unflatten(kept) for part, kept in columns.items()}
    return treedef.unflatten(columns)
