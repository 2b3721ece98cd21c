"""What steps without a gradient do to an element: a matrix, if they are linear.

Such a step maps what an element has, its slots and the parameter, to new ones. Where
that map is linear with coefficients that are the same in every step, n steps are the
n-th power of a matrix. Whether it is, is read from the traced rule.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jaxtyping import Array


class Kind(IntEnum):
    """How a number depends on what an element has.

    ZERO is zero; CONSTANT is the same in every step; TIME depends on the step; LINEAR
    is a sum of what the element has, with constant coefficients; OTHER is anything
    else.
    """

    ZERO = 0
    CONSTANT = 1
    TIME = 2
    LINEAR = 3
    OTHER = 4


_UNARY = {"neg", "convert_element_type", "broadcast_in_dim", "reshape", "squeeze"}
_UNARY |= {"transpose", "copy", "copy_p", "expand_dims", "reduce_precision", "real"}
_ZERO_AT_ZERO = {
    "sqrt",
    "sign",
    "abs",
    "square",
    "tanh",
    "sin",
    "tan",
    "log1p",
    "floor",
}
_ZERO_AT_ZERO |= {
    "expm1",
    "cbrt",
    "asin",
    "atan",
    "sinh",
    "asinh",
    "erf",
    "round",
    "ceil",
}
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def _added(kinds: list[Kind]) -> Kind:
    """Return the kind of a sum, or of a choice by a constant."""
    kinds = [kind for kind in kinds if kind != Kind.ZERO]
    if not kinds:
        return Kind.ZERO
    if len(set(kinds)) == 1:
        return kinds[0]
    return max(kinds) if max(kinds) <= Kind.TIME else Kind.OTHER


def _multiplied(a: Kind, b: Kind) -> Kind:
    if Kind.ZERO in (a, b):
        return Kind.ZERO
    if {a, b} == {Kind.CONSTANT, Kind.LINEAR}:
        return Kind.LINEAR
    return max(a, b) if max(a, b) <= Kind.TIME else Kind.OTHER


def _divided(a: Kind, b: Kind) -> Kind:
    # a number without a gradient over a denominator: 0 / eps
    if a == Kind.ZERO:
        return Kind.ZERO
    if b == Kind.LINEAR:
        return Kind.OTHER
    return _multiplied(a, b)


def _any(kinds: list[Kind]) -> Kind:
    """Return the kind of a function of which nothing is known."""
    worst = max([*kinds, Kind.CONSTANT])
    return worst if worst <= Kind.TIME else Kind.OTHER


def _kinds_of(eqn: Any, kinds: list[Kind]) -> list[Kind]:
    name, n = eqn.primitive.name, len(eqn.outvars)
    if name in _UNARY:
        return [kinds[0]]
    if name == "optimization_barrier":
        return kinds
    if name in ("add", "sub", "add_any"):
        return [_added(kinds)]
    if name == "mul":
        return [_multiplied(*kinds)]
    if name == "div":
        return [_divided(*kinds)]
    if name in _ZERO_AT_ZERO or (name == "integer_pow" and eqn.params["y"] > 0):
        return [Kind.ZERO if kinds[0] == Kind.ZERO else _any(kinds)]
    if name in ("max", "min"):
        return [Kind.ZERO if max(kinds) == Kind.ZERO else _any(kinds)]
    if name == "select_n":
        which, *cases = kinds
        if max(cases) == Kind.ZERO or which <= Kind.CONSTANT:
            return [_added(cases)]
        return [_any(kinds)]
    if name == "cond":
        which, *given = kinds
        branches = [kinds_of(b, given) for b in eqn.params["branches"]]
        each = zip(*branches, strict=True)
        return [
            _added(list(one)) if which <= Kind.CONSTANT else _any([which, *one])
            for one in each
        ]
    for key in _CALLS:
        inner = eqn.params.get(key)
        if inner is not None and len(getattr(inner, "jaxpr", inner).invars) == len(
            kinds
        ):
            return kinds_of(inner, kinds)
    return [_any(kinds)] * n


def kinds_of(closed: Any, kinds: list[Kind]) -> list[Kind]:
    """Return the kinds of a traced function's results, given those of arguments."""
    jaxpr = getattr(closed, "jaxpr", closed)
    known: dict[Any, Kind] = dict(zip(jaxpr.invars, kinds, strict=True))
    known |= dict.fromkeys(jaxpr.constvars, Kind.CONSTANT)

    def kind_of(x: Any) -> Kind:
        if isinstance(x, Literal):
            return Kind.ZERO if _is_zero(x.val) else Kind.CONSTANT
        return known[x]

    for eqn in jaxpr.eqns:
        results = _kinds_of(eqn, [kind_of(x) for x in eqn.invars])
        known |= dict(zip(eqn.outvars, results, strict=True))
    return [kind_of(x) for x in jaxpr.outvars]


def _is_zero(value: Any) -> bool:
    return jnp.ndim(value) == 0 and float(value) == 0


def powers(matrix: Array, exponents: Array) -> Array:
    """Return `matrix ** n` for each n of the exponents, integers; shape (k, m, m)."""
    m = matrix.shape[0]
    start = jnp.broadcast_to(jnp.eye(m, dtype=matrix.dtype), (*exponents.shape, m, m))

    def is_left(carry: tuple) -> Array:
        return (carry[2] > 0).any()

    def square(carry: tuple) -> tuple:
        result, power, left = carry
        odd = (left % 2 == 1)[..., None, None]
        more = jnp.einsum("...ij,jk->...ik", result, power, precision="highest")
        squared = jnp.matmul(power, power, precision="highest")
        return jnp.where(odd, more, result), squared, left // 2

    left = jnp.maximum(exponents.astype(jnp.int32), 0)
    return jax.lax.while_loop(is_left, square, (start, matrix, left))[0]


def traced(function: Callable, *given: Any) -> Any:
    """Trace a function of trees: what it returns as a closed program, flat."""
    return jax.make_jaxpr(function)(*given)
