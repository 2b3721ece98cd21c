"""A jaxpr as one list of equations, without calls, as it is on a CPU."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, Literal

# calls whose jaxpr is the same arithmetic, and where each keeps it
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


class Equation(NamedTuple):
    """One operation: its primitive, its operands and results by number, parameters."""

    name: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    params: dict[str, Any]
    avals: tuple[Any, ...]  # of the operands
    out_avals: tuple[Any, ...]
    origin: Any  # the equation of the jaxpr


class Constant(NamedTuple):
    """An operand that is known: a number, or an array that a jaxpr closed over."""

    value: Any
    aval: Any


class Flat(NamedTuple):
    """Equations in order. Values are numbers: the inputs first."""

    inputs: tuple[Any, ...]  # the avals
    equations: list[Equation]
    outputs: tuple[Any, ...]  # numbers or Constants
    out_avals: tuple[Any, ...]


def flatten(closed: Any) -> Flat:
    """Return the equations of a jaxpr with those of its calls in their place."""
    equations: list[Equation] = []
    avals = [v.aval for v in closed.jaxpr.invars]
    fresh = iter(range(len(avals), 1 << 60))
    given = list(range(len(avals)))
    outputs = _walk(closed.jaxpr, closed.consts, given, equations, fresh.__next__)
    used = needed(equations, outputs)
    return Flat(tuple(avals), used, tuple(outputs), tuple(closed.out_avals))


def _walk(
    jaxpr: Jaxpr, consts: Any, given: list, into: list, fresh: Callable[[], int]
) -> list:
    known: dict[Any, Any] = dict(zip(jaxpr.invars, given, strict=True))
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        known[var] = Constant(value, var.aval)

    def read(v: Any) -> Any:
        return Constant(v.val, v.aval) if isinstance(v, Literal) else known[v]

    for eqn in jaxpr.eqns:
        name, inputs = eqn.primitive.name, [read(v) for v in eqn.invars]
        inner = _inner(name, eqn.params)
        if name == "platform_index":
            known[eqn.outvars[0]] = Constant(None, eqn.outvars[0].aval)
            continue
        if inner is not None:
            branch, consts_of = inner
            taken = inputs[1:] if name == "cond" else inputs
            results = _walk(branch, consts_of, taken, into, fresh)
            known |= dict(zip(eqn.outvars, results, strict=True))
            continue
        outputs = [fresh() for _ in eqn.outvars]
        known |= dict(zip(eqn.outvars, outputs, strict=True))
        into.append(
            Equation(
                name,
                tuple(inputs),
                tuple(outputs),
                eqn.params,
                tuple(v.aval for v in eqn.invars),
                tuple(v.aval for v in eqn.outvars),
                eqn,
            )
        )
    return [read(v) for v in jaxpr.outvars]


def _inner(name: str, params: dict[str, Any]) -> tuple[Jaxpr, Any] | None:
    """Return the jaxpr that stands for an equation: of a call, or for a CPU."""
    if name == "cond" and params.get("branches_platforms") is not None:
        named = params["branches_platforms"]
        chosen = next(i for i, p in enumerate(named) if p is None or "cpu" in p)
        found = params["branches"][chosen]
    elif name in _CALLS:
        found = params[_CALLS[name]]
    else:
        return None
    # some are closed over their constants
    return getattr(found, "jaxpr", found), getattr(found, "consts", ())


def needed(equations: list[Equation], outputs: Any) -> list[Equation]:
    """Return the equations that the outputs depend on."""
    wanted = {v for v in outputs if isinstance(v, int)}
    kept = []
    for e in reversed(equations):
        if wanted.intersection(e.outputs):
            kept.append(e)
            wanted.update(v for v in e.inputs if isinstance(v, int))
    return kept[::-1]
