"""The rules of a transformation as they are observed: one link after another.

What only says how a rule is computed or stored (`fused`, `store`) is taken off, and a
sequence is taken apart. A link is then run alone, by its own arithmetic, so that its
update before and after it is known.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from ..engine.chain import Chain, External, RuleSequence, contents
from ..engine.rule import LinkWise, Part, Rule, part
from ..engine.state import Context, Slots
from ..engine.transformation import Transformation
from ..engine.value import restored
from ..parts.bias_correction import Rectified
from ..parts.denominators import Precondition, RootPlusEps
from ..parts.directions import Cautious, Grams
from ..storage.store import Stored
from ..storage.treatment import CLIPS
from ..wrappers.around import inner_of, map_inner
from ..wrappers.fused import Fused
from ..wrappers.grouped import Groups


def map_rules(tx: Any, change: Callable[[Rule], Rule]) -> Any:
    """Return the same transformation with `change(rule)` for each rule of a chain."""
    if isinstance(tx, Rule):
        return change(tx)
    return map_inner(tx, lambda inner: map_rules(inner, change))


def plain(rule: Rule) -> Rule:
    """Return the rule without `fused` and `store`, also in its parts."""
    if isinstance(rule, Fused | Stored):
        return plain(rule.part)

    def changed(x: Any) -> Any:
        if type(x) is tuple:
            return tuple(map(changed, x))
        return plain(x) if isinstance(x, Rule) else x

    fields = {name: changed(getattr(rule, name)) for name in rule._fields}
    return restored(type(rule), fields)


def links(rule: Rule) -> Iterator[Rule]:
    """Yield the rules that act one after another, each within the masks around it."""
    if isinstance(rule, RuleSequence):
        for each in rule.rules:
            yield from links(each)
    elif isinstance(rule, LinkWise):
        within = list(links(rule.part))
        if len(within) == 1:
            yield rule
        else:
            yield from map(rule._around, within)
    else:
        yield rule


def every_link(tx: Any) -> Iterator[Rule]:
    """Yield the links of all rules of a transformation, in any nesting."""
    if isinstance(tx, Rule):
        yield from links(plain(tx))
        return
    for inner in inner_of(tx):
        yield from every_link(inner)


def inside(tx: Any) -> Iterator[tuple[str, Any]]:
    """Yield the transformations whose states are in `inner`, by their names there."""
    if isinstance(tx, Groups):
        for member in tx.members:
            for name, inner in inside(member.tx):
                yield member.inner[name], inner
    elif isinstance(tx, Chain):
        for part in tx.parts:
            if isinstance(part, External):
                yield part.name, part.tx


def has_foreign(tx: Any) -> bool:
    """Return whether something is not made of rules, such as a part of Optax."""
    if isinstance(tx, Rule):
        return False
    if isinstance(tx, Chain):
        return any(map(has_foreign, contents(tx.parts)))
    inner = inner_of(tx)
    return not (isinstance(tx, Transformation) and inner) or any(
        map(has_foreign, inner)
    )


class KnownNorm(Rule):
    """Clip by a global norm that is known, by the arithmetic of `part`."""

    takes = "either"

    part: Part = part()
    norm: Any = None

    def _widest_scope(self) -> str:
        return "element"

    def shared(self, kept: dict[str, Array], count: Array) -> dict[str, Array]:
        return {"global_norm": self.norm}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        return self.part.apply(update, slots, ctx)


class Ratio(NamedTuple):
    """The parts of a link that divides a moment by a root: m / (sqrt(v) + ε).

    Each is a rule on its own, within the masks that are around the link.
    """

    moment: Rule
    root: Rule
    second: Rule


def core(link: Rule) -> tuple[Rule, Callable[[Rule], Rule]]:
    """Return what is in the masks around a link, and how to put them around another."""
    if not isinstance(link, LinkWise):
        return link, lambda rule: rule
    inner, around = core(link.part)
    return inner, lambda rule: link._around(around(rule))


def ratio_of(link: Rule) -> Ratio | None:
    """Return the parts of a link that is a moment over a root, None for others."""
    inner, around = core(link)
    while isinstance(inner, Cautious | Grams):  # they give the part what they are given
        inner, deeper = core(inner.part)
        around = _both(around, deeper)
    if not isinstance(inner, Precondition):
        return None
    root = inner.by.denominator if isinstance(inner.by, Rectified) else inner.by
    if not isinstance(root, RootPlusEps):
        return None
    return Ratio(*map(around, (inner.moment, root, root.moment)))


def _both(outer: Callable, inner: Callable) -> Callable[[Rule], Rule]:
    return lambda rule: outer(inner(rule))


def is_clip(link: Rule) -> bool:
    return isinstance(core(link)[0], (*CLIPS, KnownNorm))


def clips_in_front(tx: Any) -> bool:
    """Return whether the gradient is clipped before anything else is done to it."""
    if isinstance(tx, Rule):
        return is_clip(next(links(plain(tx))))
    if isinstance(tx, Groups):
        every = (tx.clip, *(inner for _, inner in tx.groups))
        return any(clips_in_front(inner) for inner in every if inner is not None)
    if isinstance(tx, Chain):
        first = tx.parts[:1]
        return any(map(clips_in_front, contents(first)))
    return any(map(clips_in_front, inner_of(tx)))


def caution_of(link: Rule) -> Rule | None:
    """Return the part of a link that `Cautious` masks, None for other links."""
    inner, around = core(link)
    return around(inner.part) if isinstance(inner, Cautious) else None
