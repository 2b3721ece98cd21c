"""Traced programs without the calls in them: one list of operations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.extend.core import Literal

from ..numerics.random_bits import index_in_array

CALLS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2"}


def inlined(
    closed: Any,
    platform: str | None = None,
    instead: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[..., list]:
    """Return the function of a traced program, without the calls in it.

    `index_in_array` is kept as a call. Where branches depend on data, all are computed
    and one is selected; where they depend on the platform, that of the given one is
    taken. `instead` has functions for operations, and for calls, of these names.
    """
    jaxpr, consts = opened(closed)

    def function(*arguments: Any) -> list:
        known = dict(zip(jaxpr.constvars, consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))
        for e in jaxpr.eqns:
            results = _inline(e, values_of(known, e.invars), platform, instead or {})
            known |= dict(zip(e.outvars, results, strict=True))
        return values_of(known, jaxpr.outvars)

    return function


def _inline(
    equation: Any, values: list, platform: str | None, instead: Mapping
) -> list:
    name, params = equation.primitive.name, equation.params
    platforms = params.get("branches_platforms")
    own = instead.get(params.get("name", name) if name in CALLS else name)
    if own is not None:
        return [own(*values)]
    if name == "platform_index" and platform:
        return [0]  # it is used for the branches below
    if name == "cond" and platforms and platform:
        others = [i for i, named in enumerate(platforms) if named is None]
        found = [i for i, named in enumerate(platforms) if platform in (named or ())]
        chosen = params["branches"][(found + others)[0]]
        return inlined(chosen, platform, instead)(*values[1:])
    if name == "cond" and not equation.effects:
        which, *values = values
        branches = [
            inlined(branch, platform, instead)(*values) for branch in params["branches"]
        ]
        which = which.astype(bool) if len(branches) == 2 else which
        return [jax.lax.select_n(which, *each) for each in zip(*branches, strict=True)]
    if name == "optimization_barrier":
        return values
    inside = params.get("jaxpr", params.get("call_jaxpr"))
    if name in CALLS and inside is not None and not is_index(equation):
        return inlined(inside, platform, instead)(*values)
    results = equation.primitive.bind(*values, **params)
    return results if equation.primitive.multiple_results else [results]


def name_of(function: Any) -> str:
    """Return the name by which calls of a compiled function are known."""
    return function.__name__


def is_index(equation: Any) -> bool:
    return (
        equation.params.get("name") == name_of(index_in_array) and not equation.invars
    )


def values_of(known: dict, variables: Sequence) -> list:
    return [x.val if isinstance(x, Literal) else known[x] for x in variables]


def opened(closed: Any) -> tuple[Any, Sequence]:
    """Return a jaxpr and its constants, in the forms that they have had in JAX."""
    return getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
