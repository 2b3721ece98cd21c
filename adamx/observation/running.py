"""One step of a transformation, link by link, with what each link does noted.

The arithmetic is that of the rules: a link is run alone on what the link before it has
returned, in the dtype of the arithmetic. Foreign transformations run as they are.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array

from ..engine import hyperparams, tree
from ..engine.chain import Chain, External
from ..engine.masks import Mask
from ..engine.paths import flatten, leaves_by_path
from ..engine.rule import Rule
from ..engine.state import State
from ..numerics.arithmetic import safe_sqrt
from ..parts.masked import Masked
from ..wrappers.around import Around
from ..wrappers.grouped import Groups, with_shapes
from ..wrappers.tunable import Tunable
from .rules import caution_of, is_clip, links, plain, ratio_of

Leaves = dict[str, Any]
"""Something of each leaf, by its path; leaves that do not have it are missing."""


class Seen(NamedTuple):
    """What is noted of each leaf, by path.

    Attributes:
        clipped: whether an element was changed by a clip.
        cut: the gradient after the clips in front of the optimizer.
        cautious: whether an element was masked by `Cautious`.
        eps: whether ε is more than half of the denominator of an element.
        signal: |m| / sqrt(v) of an element; 0 where v is 0.
        finished: the step before a rule that rounds the new parameter.
    """

    clipped: Leaves
    cut: Leaves
    cautious: Leaves
    eps: Leaves
    signal: Leaves
    finished: Leaves


class Given(NamedTuple):
    """What a step is given besides the updates and the state.

    Attributes:
        params: the parameters.
        extra: the extra arguments of `update`.
        seen: where what links do is noted.
        front: whether the updates are still the gradient, clipped at most.
    """

    params: Any
    extra: dict[str, Any]
    seen: Seen
    front: bool = True


def by_path(x: Any) -> Leaves:
    """Return the leaves of a tree that are there, by path."""
    return {path: leaf for path, leaf in leaves_by_path(x) if leaf is not None}


def run(tx: Any, updates: Any, state: Any, given: Given) -> tuple[Any, Any]:
    """Return the update of a step in the dtype of the arithmetic, and the new state."""
    if isinstance(tx, Tunable):
        new, inner = run(tx._now(state), updates, state.inner, given)
        return new, state._replace(inner=inner)
    if isinstance(tx, Around):
        new, inner = run(tx.inner, updates, tx.state_inside(state), given)
        return new, tx.around(state, inner)
    if isinstance(tx, Groups):
        return _groups(tx, updates, state, given)
    if isinstance(tx, Rule):
        tx = Chain((tx,))
    if isinstance(tx, Chain):
        return _chain(tx, updates, state, given)
    return _foreign(tx, updates, state, given)


def _foreign(tx: Any, updates: Any, state: Any, given: Given) -> tuple[Any, Any]:
    wide = optax.with_extra_args_support(tx)
    updates, params = tree.widen(updates), tree.widen(given.params)
    new, state = wide.update(updates, state, params, **given.extra)
    return tree.widen(new), state


def _chain(tx: Chain, updates: Any, state: State, given: Given) -> tuple[Any, State]:
    slots, inner = tree.slots_of(state), dict(state.inner)
    dtypes = tree.dtypes_of(updates, given.params)
    count = optax.safe_increment(state.count)
    step = tree.Step(given.params, count, given.extra, dtypes, last=False)
    for part in tx.parts:
        if isinstance(part, External):
            there = inner[part.name]
            updates, inner[part.name] = run(part.tx, updates, there, given)
            given = given._replace(front=False)
            continue
        for link in links(plain(part)):
            now = hyperparams.at(link, state.count)
            given = given._replace(front=given.front and is_clip(link))
            updates, slots = _link(now, updates, slots, step, given)
    return updates, State(count, slots, inner)


def _link(
    link: Rule, before: Any, slots: dict[str, Any], step: tree.Step, given: Given
) -> tuple[Any, dict[str, Any]]:
    """Run one link, and note what it does."""
    seen = given.seen
    after, new = tree.run_rule(link, before, slots, step)
    was, now = by_path(tree.widen(before)), by_path(after)
    if link._has_place("last"):
        seen.finished.update(was)
    if is_clip(link):
        for path, x in now.items():
            changed = x != was[path]
            known = seen.clipped.get(path)
            seen.clipped[path] = changed if known is None else known | changed
        if given.front:
            seen.cut.update(now)
    masked = caution_of(link)
    if masked is not None:
        direction = by_path(tree.run_rule(masked, before, slots, step)[0])
        for path in _selected(link, before, step):
            u = direction[path]
            seen.cautious[path] = (u != 0) & ~(u * was[path] > 0)
    ratio = ratio_of(link)
    if ratio is not None:
        first, held = tree.run_rule(ratio.moment, before, slots, step)
        root = by_path(tree.run_rule(ratio.root, before, held, step)[0])
        second = by_path(tree.run_rule(ratio.second, before, held, step)[0])
        m = by_path(first)
        for path in _selected(link, before, step):
            shape = was[path].shape
            v = safe_sqrt(jnp.broadcast_to(second[path], shape))
            seen.eps[path] = jnp.broadcast_to(root[path], shape) > 2 * v
            seen.signal[path] = _quotient(jnp.abs(m[path]), v)
    return after, new


def _quotient(x: Array, y: Array) -> Array:
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)


def _selected(link: Rule, updates: Any, step: tree.Step) -> list[str]:
    """Return the paths of the leaves that the masks around a link select."""
    like = updates if step.params is None else with_shapes(updates, step.params)
    masks: list[Mask] = []
    within: Any = link
    while hasattr(within, "part"):
        masks += [within.mask] if isinstance(within, Masked) else []
        within = within.part
    answers = [mask.resolve(like) for mask in masks]
    return [
        path
        for i, (path, leaf) in enumerate(leaves_by_path(updates))
        if leaf is not None and leaf.size and all(answer[i] for answer in answers)
    ]


def _groups(tx: Groups, updates: Any, state: State, given: Given) -> tuple[Any, State]:
    like = with_shapes(updates, given.params)
    laid = tx.layout(like)
    new = laid.only(frozenset(), updates)
    states = []
    for member, part in zip(tx.members, tx.apart(state, like), strict=True):
        one, own, there = part
        chosen = tx._chosen(member)
        here = laid.only(chosen, updates)
        done, own = run(one, here, own, given._replace(params=there))
        states.append(own)
        if member.group is None:
            updates = laid.put(chosen, done, updates)
        else:
            new = laid.put(chosen, done, new)
    return new, tx.together(optax.safe_increment(state.count), states, like)


def narrowed(new: Any, updates: Any, params: Any, seen: Seen) -> Any:
    """Return updates in the dtypes in which they are returned."""
    leaves, treedef = flatten(new)
    dtypes = tree.dtypes_of(updates, params)
    paths = [path for path, _ in leaves_by_path(updates)]
    cast = [
        u if u is None or path in seen.finished else u.astype(dtype)
        for u, dtype, path in zip(leaves, dtypes, paths, strict=True)
    ]
    return treedef.unflatten(cast)
