"""How the leaves of a fused transformation are computed on each machine."""

from collections.abc import Iterator
from typing import Any

import jax

from .. import errors
from ..engine.chain import Chain, contents
from ..engine.paths import leaves_by_path
from ..engine.rule import Rule
from ..kernels import lowering
from ..native.leaf_loop import LeafLoop
from ..native.primitive import LeafStep, leaf_steps_p
from ..wrappers.around import Around
from ..wrappers.grouped import Groups

_WHOLE = "by XLA: its rules need the whole leaf"
PLATFORMS = ("cpu", "cuda", "tpu")


def ways_computed(tx: Any, state: Any, params: Any) -> dict[str, tuple[str, ...]]:
    """Return for each leaf of a fused transformation, by path, what computes it.

    It is a text for each of `PLATFORMS`.
    """
    named = leaves_by_path(params)
    try:
        closed = jax.make_jaxpr(tx.update)(params, state, params)
    except errors.AdamxTypeError as error:  # an extra argument that is not known here
        unknown = f"not known: {error}"
        return {path: (unknown,) * len(PLATFORMS) for path, _ in named}
    found: dict[int, list[LeafLoop]] = {}
    for step in _steps(closed.jaxpr):
        found.setdefault(step.leaf, []).append(step.loop)
    first = [_WHOLE] if _has_whole(tx) else []
    ways = {}
    for i, (path, leaf) in enumerate(named):
        if leaf is not None and leaf.size:
            loops = found.get(i, [])
            each = [[lowering.way(p, loop) for loop in loops] for p in PLATFORMS]
            ways[path] = tuple("; ".join(dict.fromkeys(first + way)) for way in each)
    return ways


def _has_whole(tx: Any) -> bool:
    """Return whether some pass over the leaves needs whole ones."""
    if isinstance(tx, Around):
        return _has_whole(tx.inner)
    if isinstance(tx, Groups):
        return any(_has_whole(member.tx) for member in tx.members)
    if isinstance(tx, Rule):
        return tx._widest_scope() == "tensor"
    inner = contents(tx.passes)
    return any(
        _has_whole(p) for p in inner if isinstance(p, Rule | Chain | Around | Groups)
    )


def _steps(jaxpr: Any) -> Iterator[LeafStep]:
    for e in jaxpr.eqns:
        if e.primitive is leaf_steps_p:
            yield from e.params["steps"]
        for value in jax.tree.leaves(list(e.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _steps(inner)
