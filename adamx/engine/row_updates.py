"""`update` for row-sparse gradients: the rows are taken out, stepped, and put back.

The rule runs on the rows alone, as on any leaf of that shape: rows of the gradient, of
the parameter and of each slot. All other rows stay as they are, in every array. This is
right for rules whose elements do not depend on each other, and others are refused.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import errors
from ..numerics.row_sparse import RowSparse, put_rows, take_rows
from . import row_codecs
from .leaves import column, slot_column
from .paths import paths
from .slot_trees import with_columns
from .state import PLACES, TABLES, Context, RowTables, Slot, State, is_absent


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

    @property
    def is_offered(self) -> bool:
        """Whether a rule may step the rows in the table: what it returns is longer."""
        return self.rows.indices.shape[0] < self.rows.num_rows

    def put(self, whole: Any, new: Any) -> Any:
        """Return the whole array with new rows in it, if it is not that already."""
        if self.is_offered and new.shape == whole.shape:
            return new
        return put_rows(whole, self.rows.indices, new)


def update(
    tx: Any,
    updates: Any,
    state: Any,
    params: Any,
    extra: dict[str, Any],
    run: Callable,
    applied: bool = False,
) -> tuple[Any, Any]:
    """Run one step of `run`, the update of `tx`, on rows.

    Row-sparse leaves of the updates stay row-sparse in the result, which is the new
    parameters if `run` returns those (`applied`).
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=_is_leaf)
    names = paths(treedef.unflatten([None] * len(leaves)))
    whole: list[Any] = [None] * len(leaves)
    if params is not None:
        whole = column("params", params, _places(treedef))
    rows = {i: g.united() for i, g in enumerate(leaves) if is_rows(g)}
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
    declared = [named for rule in rules for named in rule.slots().items()]
    for table in tables.values():
        _check_rules(rules, table)
        _check_masks(declared, table)
    for i, (path, g, chosen) in tables.items():
        masks = frozenset(mask for mask, _ in chosen)
        longer = row_codecs.lengthened(declared, masks, path, g)
        tables[i] = tables[i]._replace(rows=longer)

    def seen(tree: Any) -> Any:
        return _with(treedef, tree, tables, lambda x, t: _taken(x, t))

    fused = any(rule._is_fused() for rule in rules)
    offered: dict[str, RowTables] = {
        str(i): RowTables(table.rows.indices, whole[i], {})
        for i, table in tables.items()
        if fused and table.is_offered
    }

    view = treedef.unflatten(
        [tables[i].rows.rows if i in tables else g for i, g in enumerate(leaves)]
    )
    like = view
    if params is not None:
        params = seen(params)
        here = column("params", params, view)
        like = treedef.unflatten(list(map(_like, leaves, here)))
    if _selected(rules, like, len(leaves)) != selected:
        raise errors.AdamxError(
            "update: a mask must select the same leaves for rows as for whole tables, "
            "got one that depends on the number of rows. Let it depend on paths and "
            "ranks only."
        )
    extra = {name: _extra_of(x, treedef, tables) for name, x in extra.items()}
    extra[PLACES] = {str(i): table.rows.indices for i, table in tables.items()}

    rows_of = functools.partial(_slots_of_rows, treedef, tables, offered)
    back = functools.partial(_slots_put_back, treedef, tables)
    of_rows = _map_states(tx, rows_of, state)
    if offered:
        extra[TABLES] = offered
    stepped, after = run(view, of_rows, params, extra)
    after = _map_states(tx, back, state, after)
    done = treedef.flatten_up_to(stepped)
    for i, table in tables.items():
        new = done[i]
        done[i] = table.put(whole[i], new) if applied else table.rows.with_rows(new)
    return treedef.unflatten(done), after


# ---- what is given -----------------------------------------------------------


def rules_of(tx: Any) -> Iterator[Any]:
    """Yield the rules of a transformation; raise if a part of it is no rule."""
    if not getattr(tx, "takes_rows", True):
        raise errors.AdamxError(
            f"update: row-sparse gradients must be given to the optimizer itself, got "
            f"{errors.shorten(repr(tx))} around it, which would need whole tables. "
            f"Leave it out, or make the gradient dense with `rows.todense()`."
        )
    if hasattr(tx, "row_rules"):
        yield from tx.row_rules()
    elif hasattr(tx, "passes"):
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
                f"adamx.groups, or make the gradient dense with "
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
            sums = rule.partial_sums(jnp.zeros((1, 1)), {}, Context(1))
            return not any(float(x) for x in sums.values())
    except (AttributeError, TypeError, errors.AdamxError, jax.errors.JAXTypeError):
        return False  # it reads more than the update


def row_numbers(param: Any) -> Any:
    """Reduce a table to one number a row: `shape_of` of slots that count by row."""
    return param.sum(axis=tuple(range(1, param.ndim)))


def _check_masks(declared: list[tuple[str, Slot]], table: Table) -> None:
    """Raise an error if a rule that counts by row does not count those of the leaf."""
    masks = {mask for mask, _ in table.selected}
    for _, slot in declared:
        if slot.shape_of is row_numbers and not masks.issuperset(slot.masks):
            raise errors.AdamxError(
                f"update: `tables` must select every leaf with row-sparse gradients, "
                f"got one for `{table.path}`, which it does not select. Name it in "
                f"`tables`, and make the state anew."
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
    """Return an extra argument; of one like the updates, the rows of tables."""
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


def _map_states(tx: Any, change: Callable, *states: Any) -> Any:
    """Return the state of a transformation with `change(declared, slots, ...)`."""
    first, last = states[0], states[-1]
    if not isinstance(first, State):  # of `tunable`, around another
        inner = _map_states(tx.inner, change, *map(tx.state_inside, states))
        return tx.around(last, inner)
    slots = change(tx.slots(), *(dict(s.slots) for s in states))
    inner = dict(last.inner)
    for part in getattr(tx, "parts", ()):
        if hasattr(part, "tx"):
            below = (s.inner[part.name] for s in states)
            inner[part.name] = _map_states(part.tx, change, *below)
    return last._replace(slots=slots, inner=inner)


def _slots_of_rows(
    treedef: Any,
    tables: dict[int, Table],
    offered: dict[str, RowTables],
    declared: dict[str, Slot],
    slots: dict,
) -> dict[str, Any]:
    """Return the slots with the rows of tables only, and offer the whole ones."""
    for name, slot in declared.items():
        if name in slots and not slot.shared:
            each = slot_column(name, slot, slots[name], _places(treedef))
            for i, given in offered.items():
                known = [] if name in given.slots else jax.tree.leaves(each[int(i)])
                some = known and not any(map(is_absent, known))
                # of two slots of one name, in transformations apart, none is offered
                given.slots[name] = each[int(i)] if some else None
            slots[name] = _slot_rows(name, slot, slots[name], tables, each)
    return slots


def _slots_put_back(
    treedef: Any, tables: dict, declared: dict[str, Slot], old: dict, new: dict
) -> dict[str, Any]:
    for name, slot in declared.items():
        if name in old and not slot.shared:
            new[name] = _slot_back(name, slot, old[name], new[name], treedef, tables)
    return new


def _slot_rows(
    name: str, slot: Slot, trees: Any, tables: dict[int, Table], each: list
) -> Any:
    """Return a slot of the state with the rows of the tables only."""
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
    return with_columns(slot, trees, each)


def _slot_back(
    name: str, slot: Slot, old: Any, new: Any, treedef: Any, tables: dict[int, Table]
) -> Any:
    """Return the old slot with the new rows in it."""
    before, after = (
        slot_column(name, slot, trees, _places(treedef)) for trees in (old, new)
    )
    for i, table in tables.items():
        after[i] = jax.tree.map(
            lambda x, y, t=table: x if is_absent(x) else t.put(x, y),
            before[i],
            after[i],
        )
    return with_columns(slot, new, after)


def _places(treedef: Any) -> Any:
    """Return a tree with a number at each leaf."""
    return treedef.unflatten(range(treedef.num_leaves))
