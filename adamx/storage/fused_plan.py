"""How the leaves of a fused transformation are computed on each machine."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from .. import errors
from ..engine.chain import Chain, External
from ..engine.paths import leaves_by_path
from ..engine.rule import Rule
from ..kernels import lowering
from ..native.leaf_loop import LeafLoop
from ..native.primitive import LeafStep, leaf_steps_p
from ..wrappers.fused import is_fused
from ..wrappers.tunable import Tunable

_WHOLE = "by XLA: its rules need the whole leaf"
# what computes a leaf, and a function that says why it does not
MACHINES: dict[str, tuple[str, Callable[[LeafLoop], str]]] = {
    "a CPU": ("in one native loop", lambda loop: loop.why_not),
    "a GPU": ("in one kernel", functools.partial(lowering.why_not, "cuda")),
    "a TPU": ("in one kernel", functools.partial(lowering.why_not, "tpu")),
}


def ways_computed(
    tx: Any, state: Any, params: Any, machine: str = "a CPU"
) -> dict[str, str]:
    """Return for each leaf, by path, what computes it; nothing if `tx` is not fused."""
    if not is_fused(tx):
        return {}
    done, why_not = MACHINES[machine]
    named = leaves_by_path(params)
    try:
        closed = jax.make_jaxpr(tx.update)(params, state, params)
    except errors.AdamxTypeError as error:  # an extra argument that is not known here
        return {path: f"not known: {error}" for path, _ in named}
    found: dict[int, list[str]] = {}
    for step in _steps(closed.jaxpr):
        reason = why_not(step.loop)
        said = f"by XLA: {reason}" if reason else done
        found.setdefault(step.leaf, []).append(said)
    first = [_WHOLE] if _has_whole(tx) else []
    return {
        path: "; ".join(dict.fromkeys(first + found.get(i, [])))
        for i, (path, leaf) in enumerate(named)
        if leaf is not None and leaf.size
    }


def _has_whole(tx: Any) -> bool:
    """Return whether some pass over the leaves needs whole ones."""
    if isinstance(tx, Tunable):
        return _has_whole(tx.inner)
    if isinstance(tx, Rule):
        return tx._widest_scope() == "tensor"
    inner = [p.tx if isinstance(p, External) else p for p in tx.passes]
    return any(_has_whole(p) for p in inner if isinstance(p, Rule | Chain | Tunable))


def _steps(jaxpr: Any) -> Iterator[LeafStep]:
    for e in jaxpr.eqns:
        if e.primitive is leaf_steps_p:
            yield from e.params["steps"]
        for value in jax.tree.leaves(list(e.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _steps(inner)
