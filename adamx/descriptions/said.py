"""What chains and wrappers say: their parts in order, and where the leaves differ.

Importing this module imports what every part says.
"""

from typing import Any

from ..engine.chain import Chain, External, RuleSequence, contents
from ..engine.masks import Mask, Not
from ..engine.rule import Rule
from ..engine.transformation import Transformation
from ..observation.observing import Observing
from ..parts.masked import Masked
from ..sparse.catching_up import CatchUp
from ..sparse.row_counts import PerRow
from ..storage.store import Stored
from ..wrappers.accumulating import Accumulating
from ..wrappers.around import inner_of
from ..wrappers.fused import Fused
from ..wrappers.grouped import Groups
from ..wrappers.in_shard_map import InShardMap
from ..wrappers.offload import Offloaded
from ..wrappers.stacked import Stacked
from ..wrappers.tunable import Tunable
from ..wrappers.zero1 import Zero1
from . import (
    said_of_elements as said_of_elements,
    said_of_matrices as said_of_matrices,
    said_of_moments as said_of_moments,
    said_of_parts as said_of_parts,
    said_of_steps as said_of_steps,
)
from .writing import Writer, leaves_of, number, says

NEW = "θ' - θ"
"""The update of a part that writes the new parameter θ' itself."""

DONE = "θ"
"""What is returned where the new parameter has been written already."""


def in_order(parts: Any, w: Writer, u: str) -> str:
    """Write parts one after another, and return the last one's expression."""
    before = u
    for i, part in enumerate(parts):
        given = u
        if isinstance(part, Masked):
            if i and _complement(parts[i - 1], part):
                given = before
            elif u != "u" and not (
                i + 1 < len(parts) and _complement(part, parts[i + 1])
            ):
                w.line(f"u = {u}")
                given = "u"
        before, done = u, w.part(part, given)
        if i + 1 < len(parts) and _is_long(done):
            done = w.assign(done)
        u = done
    return u


def _is_long(expression: str) -> bool:
    return " " in expression or expression.startswith(("-", "sign(", "⟦"))


def _complement(one: Any, other: Any) -> bool:
    """Return whether two masked parts have no leaf together, by their masks."""
    if not (isinstance(one, Masked) and isinstance(other, Masked)):
        return False
    return other.mask == Not(one.mask) or one.mask == Not(other.mask)


@says(RuleSequence)
def _sequence(sequence: Any, w: Writer, u: str) -> str:
    return in_order(sequence.rules, w, u)


@says(Chain)
def _chain(chain: Any, w: Writer, u: str) -> str:
    return in_order(chain.parts, w, u)


@says(External)
def _external(external: Any, w: Writer, u: str) -> str:
    if isinstance(external.tx, Transformation):
        return w.part(external.tx, u)
    w.note(f"`{external.name}` is of another library: its equations are not known.")
    return f"⟦{external.name}⟧({u})"


@says(Stored, Fused, InShardMap)
def _inside(wrapper: Any, w: Writer, u: str) -> str:
    return w.part(wrapper.part, u)


@says(Masked)
def _masked(rule: Any, w: Writer, u: str) -> str:
    with w.when(leaves_of(rule.mask)):
        done = w.part(rule.part, u)
        w.assign(done)
    return "u"


@says(Stacked)
def _stacked(rule: Any, w: Writer, u: str) -> str:
    chosen = "all leaves" if rule.mask is None else leaves_of(rule.mask)
    with w.when(f"each slice along the axis {rule.axis} of {chosen} by itself"):
        return w.part(rule.part, u)


@says(PerRow)
def _per_row(rule: Any, w: Writer, u: str) -> str:
    steps = w.slot("row_steps")
    with w.when(leaves_of(rule.tables)):
        w.line(f"rows with a gradient:  {steps} ← {steps} + 1,   t = {steps}")
    return w.part(rule.part, u)


@says(CatchUp)
def _catch_up(rule: Any, w: Writer, u: str) -> str:
    until = w.slot("row_until")
    missed = f"the missed steps, from {until} + 1 to t - 1, are made up with g = 0"
    if not rule.exact:
        missed += ", but for what old momentum would have moved"
    with w.when(leaves_of(rule.tables)):
        w.line(f"rows with a gradient:  {missed},   {until} ← t")
    return w.part(rule.part, u)


@says(Accumulating)
def _accumulating(tx: Any, w: Writer, u: str) -> str:
    mean = "the mean" if tx.weights is None else f"the mean by ⟦{tx.weights}⟧"
    w.line(f"{u} = {mean} of the gradients of {number(tx.every)} calls")
    w.note(f"The sum of the gradients is kept in {tx.dtype}.")
    if tx.skip_nonfinite:
        w.note("A step with a gradient that is not finite is skipped.")
    if tx.skip_spikes is not None:
        limit = number(tx.skip_spikes)
        w.note(f"A step whose norm is above {limit} times the average is skipped.")
    return w.part(tx.inner, u)


@says(Tunable)
def _tunable(tx: Any, w: Writer, u: str) -> str:
    w.note(f"The state has {', '.join(tx.names)}, which may be replaced.")
    return w.part(tx.inner, u)


@says(Offloaded)
def _offloaded(tx: Any, w: Writer, u: str) -> str:
    w.note(f"The state is in {tx.to!r} between steps.")
    return w.part(tx.inner, u)


@says(Zero1)
def _zero1(tx: Any, w: Writer, u: str) -> str:
    w.note(f"The state is split over the devices of the mesh axis {tx.axis!r}.")
    return w.part(tx.inner, u)


@says(Observing)
def _observing(tx: Any, w: Writer, u: str) -> str:
    w.note(f"Metrics are taken every {number(tx.every)} steps.")
    return w.part(tx.inner, u)


@says(Groups)
def _groups(tx: Any, w: Writer, u: str) -> str:
    if tx.clip is not None:
        w.line(f"u = {w.part(tx.clip, u)}")
        u = "u"
    for mask, one in tx.groups:
        with w.when(leaves_of(mask) if isinstance(mask, Mask) else f"`{mask!r}`"):
            if one is None:
                w.line("θ stays")
            else:
                finish(one, w, u)
    return DONE


def finish(tx: Any, w: Writer, u: str) -> None:
    """Write a whole transformation, to the new parameter if it makes steps."""
    done = w.part(tx, u)
    if done == DONE:
        return
    if done == NEW:
        w.line("θ ← θ'")
    elif not makes_steps(tx):
        w.assign(done)
    elif done.startswith("-"):
        w.line(f"θ ← θ - {done[1:]}")
    else:
        w.line(f"θ ← θ + {done}")


def makes_steps(tx: Any) -> bool:
    """Return whether a transformation returns steps, and not directions."""
    if isinstance(tx, Rule):
        return tx._has_place("step") or tx._has_place("last")
    if isinstance(tx, Groups):
        return True
    if hasattr(tx, "parts"):
        own = (p for p in contents(tx.parts) if isinstance(p, Transformation))
        return any(map(makes_steps, own))
    return any(map(makes_steps, inner_of(tx)))
