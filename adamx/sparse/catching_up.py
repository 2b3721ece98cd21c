"""Making up for the steps in which a row had no gradient."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.chain import Chain
from ..engine.hyperparams import has_schedules, option
from ..engine.row_updates import row_numbers
from ..engine.rule import Rule, Wrapper
from ..engine.state import Context, Slot, Slots, State
from ..numerics.row_sparse import RowSparse
from .applying import apply_updates
from .tables import around, as_tables
from .zero_gradient import Kind, kinds_of, powers, traced

_UNTIL = "row_until"
_INT = jnp.dtype(jnp.int32)


class CatchUp(Wrapper):
    """Make up for the missed steps of the rows of the tables, then run `part`.

    Args:
        part: a rule, or a sequence of rules.
        tables: the leaves that have rows.
        exact: whether the rows must move as in a run with dense gradients.
        moves: whether the step itself is taken too; else only the missed ones are made
            up, which `made_up` asks for.
    """

    tables: Any = None
    exact: bool = option(True)
    moves: bool = option(True)

    def needs(self) -> frozenset[str]:
        return self.part.needs() | {"param"}

    def slots(self) -> dict[str, Slot]:
        until = Slot(
            shape_of=row_numbers, signed=False, dtype=_INT, masks=(self.tables,)
        )
        return self.part.slots() | {_UNTIL: until}

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        known = self.part.shared(kept, count)
        return known if self.moves else known | kept  # as they were

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        if not ctx.selects(self.tables):
            return self.part.apply(update, slots, ctx)
        until = slots[_UNTIL]
        missed = ctx.count - 1 - until.astype(jnp.int32)
        own = {n: s for n, s in self.part.slots().items() if not s.shared}
        names = [n for n in own if slots[n].shape == update.shape]
        matrix = self.transition(names, update, slots, ctx)
        now = powers(matrix, missed)
        held = jnp.stack([*(slots[name] for name in names), ctx.param])
        caught = jnp.einsum("kij,jk...->ik...", now, held, precision="highest")
        slots = slots | {name: caught[i] for i, name in enumerate(names)}
        moved = caught[-1] - ctx.param
        reached = jnp.full_like(until, 0) + ctx.count
        if not self.moves:
            return moved, slots | {_UNTIL: reached - 1}
        u, slots = self.part.apply(update, slots, ctx.replace(param=caught[-1]))
        return u + moved, slots | {_UNTIL: reached}

    def transition(
        self, names: list[str], update: Array, slots: Slots, ctx: Context
    ) -> Array:
        """Return the matrix of one step without a gradient: (m, m), the parameter last.

        The rule is run on m elements, each of which has one number only.
        """
        m = len(names) + 1
        unit = jnp.eye(m, dtype=update.dtype).reshape(m, m, *[1] * (update.ndim - 1))
        rest = {n: x for n, x in slots.items() if n not in names}

        def step(g: Array, count: Any, shared: Any, kept: list, param: Array) -> list:
            own = rest | dict(zip(names, kept, strict=True))
            here = ctx.replace(count=count, shared=shared, param=param)
            u, new = self.part.apply(g, own, here)
            return [*(new[name] for name in names), param + u]

        g = jnp.zeros_like(unit[0])
        kept, param = list(unit[:-1]), unit[-1]
        shared = dict(ctx.shared)
        self._check(step, names, (g, ctx.count, shared, kept, param))
        new = step(g, ctx.count, shared, kept, param)
        if not self.exact:
            new[-1] = step(g, ctx.count, shared, [g] * len(kept), param)[-1]
        return jnp.stack([x.reshape(m) for x in new])

    def _check(self, step: Any, names: list[str], given: tuple) -> None:
        """Raise an error if a step without a gradient is not linear."""
        _, _, shared, _, _ = given
        program = traced(step, *given)

        def kinds(of_slots: Kind) -> list[Kind]:
            start = [Kind.ZERO, Kind.TIME, *[Kind.TIME] * len(shared)]
            return kinds_of(program, [*start, *[of_slots] * len(names), Kind.LINEAR])

        *of_slots, of_param = kinds(Kind.LINEAR)
        wrong = [n for n, k in zip(names, of_slots, strict=True) if k not in _LINEAR]
        if wrong:
            raise errors.AdamxError(
                f"catch_up: every slot must be linear in what an element has, where it "
                f"has no gradient, got `{wrong[0]}` of "
                f"{errors.shorten(repr(self.part))}: there is no closed form for the "
                f"steps missed. Use the optimizer without catch_up, or per_row."
            )
        if not self.exact:
            of_param = kinds(Kind.ZERO)[-1]
        if of_param not in _LINEAR:
            advice = "Pass exact=False to make up for the moments and the decay only"
            raise errors.AdamxError(
                f"catch_up: the step must be linear in what an element has, where it "
                f"has no gradient, got {errors.shorten(repr(self.part))}: there is no "
                f"closed form for the steps missed. "
                f"{advice if self.exact else 'Use the optimizer without catch_up'}."
            )


_LINEAR = (Kind.ZERO, Kind.LINEAR)


def catch_up(tx: Any, tables: Any, *, exact: bool = True) -> Any:
    """Return the same optimizer, which makes up for the steps that a row has missed.

        tx = adamx.sparse.catch_up(adamx.sgd(0.1, momentum=0.9), "embedding")

    In a step with a dense gradient, a row whose gradient is zero is not at rest: its
    moments shrink, its decay goes on, and old momentum moves it. Before a row has its
    next gradient, this makes up for all of it at once, by the power of the matrix of
    such a step, so that rows and slots are those of the run with dense gradients. A row
    that is read before it is caught up is as it was at its last gradient: see
    `made_up`.

    The matrix is read from the rule itself, whose step without a gradient must be
    linear, the same in every step: momentum, averages of gradients and of their
    squares, decay. Optimizers that divide old momentum by anything (Adam), or take its
    sign (Lion), have no closed form and are refused; so are schedules.

    Args:
        tx: a rule or chain of adamx; `store` is applied before, `tunable` after it.
            A hyperparameter that is changed holds for the missed steps too.
        tables: which leaves have rows, along their first axis: a mask, as a path regex.
        exact: False makes up for the moments and the decoupled decay only, not for what
            old momentum would have moved: for AdamW and others whose slots are linear.

    State: that of `tx`, and `row_until`, the step up to which a row is made up, 4 bytes
    a row, from zero; exact up to 2²⁴ steps with float32 parameters.

    Raises:
        TypeError: `tx` is no rule or chain of adamx's rules.
        ValueError: its step without a gradient has no closed form: the message names
        the
            rule, and the slot if it is one.
    """
    mask = as_tables("catch_up", tables)

    def made(rule: Rule) -> Rule:
        if has_schedules(rule):
            raise errors.AdamxError(
                f"catch_up: every hyperparameter must be a number or an array, got a "
                f"schedule in {errors.shorten(repr(rule))}: there is no closed form "
                f"for the steps missed. Pass a number, and use adamx.tunable to change "
                f"it."
            )
        for need in sorted(rule.needs() - {"param", "path"}):
            raise errors.AdamxError(
                f"catch_up: a step without a gradient must follow from the state, got "
                f"{errors.shorten(repr(rule))}, which needs `{need}` in each step. Use "
                f"the optimizer without catch_up."
            )
        if rule._has_place("last"):
            raise errors.AdamxError(
                f"catch_up: the new parameter must not be rounded, got "
                f"{errors.shorten(repr(rule))}. Keep the tables in float32."
            )
        wrapped = CatchUp(rule, mask, exact=exact)
        _check_now(wrapped)
        return wrapped

    return around("catch_up", tx, made)


def _check_now(rule: CatchUp) -> None:
    """Raise an error for one element that every mask selects, if all rules allow it."""
    if rule._widest_scope() == "tensor":
        return  # it is checked for the leaves that it acts on
    g = jnp.zeros((1, 1))
    declared = rule.slots()
    slots = {n: g for n, s in declared.items() if not s.shared} | {_UNTIL: g[0]}
    kept = {n: jnp.zeros(()) for n, s in declared.items() if s.shared}

    def run() -> Any:
        count = jnp.ones(())
        known = kept | rule.shared(kept, count)
        sums = rule.partial_sums(g, slots, Context(count, known))
        known |= rule.from_sums(sums, known)
        masks = frozenset(rule._masks())
        ctx = Context(jnp.int32(1), known, {}, masks, param=g, dtype=g.dtype, path="")
        return rule.apply(g, slots, ctx)[0]

    jax.eval_shape(run)


def made_up(tx: Any, params: Any, state: Any, ids: Any = None) -> tuple[Any, Any]:
    """Make up for the steps missed so far, without a step: before rows are read.

        params, state = adamx.sparse.made_up(tx, params, state, {"embedding": ids})
        value, grads = adamx.sparse.value_and_grad(loss)(params, ids)

    Args:
        tx: what `catch_up` returned.
        params: the parameters.
        state: the state that goes with them.
        ids: a tree like the parameters: for each table the ids of the rows that are
            to be read, of any shape, and None for other leaves. None for all rows of
            all tables, as before an evaluation.

    Returns:
        The new parameters and the new state.

    Raises:
        TypeError: `tx` does not come from `catch_up`.
    """
    only = _only(tx)
    if only is None or not isinstance(state, State):
        raise errors.type_error(
            "made_up",
            "`tx` must be what adamx.sparse.catch_up returned, and `state` its state",
            repr(tx),
            "Call tx = adamx.sparse.catch_up(tx, tables) first.",
        )
    updates = _no_gradient(only.tables, params, ids)
    if not jax.tree.leaves(updates):
        return params, state
    slots = {name: state.slots[name] for name in only.slots()}
    after: Any
    moved, after = only.update(updates, State(state.count, slots), params)
    made = state._replace(slots=state.slots | after.slots)
    return apply_updates(params, moved), made


def _only(tx: Any) -> CatchUp | None:
    """Return the rule that makes up for missed steps and takes none."""
    parts = tx.parts if isinstance(tx, Chain) else (tx,)
    found = [part for part in parts if isinstance(part, CatchUp)]
    return dataclasses.replace(found[0], moves=False) if found else None


def _no_gradient(mask: Any, params: Any, ids: Any) -> Any:
    """Return updates of zero for the rows that are to be made up, None elsewhere."""
    leaves, treedef = jax.tree.flatten(params)
    chosen = mask.resolve(params)
    each: list[Any] = [None] * len(leaves)
    if ids is not None:
        each = treedef.flatten_up_to(ids)
    made = []
    for p, here, wanted in zip(leaves, chosen, each, strict=True):
        if not here or (ids is not None and wanted is None):
            made.append(None)
        elif ids is None:
            made.append(jnp.zeros_like(p))
        else:
            flat = jnp.asarray(wanted).reshape(-1).astype(jnp.int32)
            rows = jnp.zeros((flat.size, *p.shape[1:]), p.dtype)
            made.append(RowSparse._made(flat, rows, p.shape[0], False))
    return treedef.unflatten(made)
