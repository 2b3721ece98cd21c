"""A function of arrays of one shape, taken apart: what it computes for each element.

The function is traced for whole arrays, so that it sees their shape. What it computes
from numbers alone is computed once; the rest can be computed for any part of the
arrays, if it is the same operation for every element.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from .inlining import CALLS, inlined, is_index, opened, values_of

_SAME = {"copy", "copy_p", "optimization_barrier", "stop_gradient", "pvary"}
_SHAPING = {"broadcast_in_dim", "reshape", "squeeze", "expand_dims"}
_EACH = {
    *("abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan"),
    *("atan2", "atanh", "bitcast_convert_type", "cbrt", "ceil", "clamp", "clz"),
    *("convert_element_type", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv"),
    *("erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite"),
    *("le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne"),
    *("neg", "nextafter", "not", "or", "population_count", "pow", "reduce_precision"),
    *("rem", "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic"),
    *("shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan"),
    *("tanh", "xor"),
}
# what keys of random numbers are computed with
_HASH = {"add", "convert_element_type", "mul", "shift_right_logical", "xor"}


class Elementwise(NamedTuple):
    """What a function of numbers and arrays computes once, and what for each element.

    Attributes:
        numbers: a function of the numbers, in their tree; it returns a list of scalars.
        integers: a function of this list, which returns the scalars that `elements` is
            given: it has what is computed from integers alone, such as keys of random
            numbers.
        elements: a function of these scalars, of the arrays by name (or the same part
            of each) and of `index`; it returns a list of results, in the shape of the
            part, or as scalars where the function returns these. `index(shape)` must
            return the indices of the part's elements.
        given: for each scalar of `numbers` which leaf of its tree it is, None if it is
            computed.
    """

    numbers: Callable[[Any], list]
    integers: Callable[[Sequence], list]
    elements: Callable[[Sequence, Mapping[str, Any], Any], list]
    given: tuple[int | None, ...]


def taken_apart(
    function: Callable[[Any, Any], list],
    shape: tuple[int, ...],
    numbers: Any,
    arrays: Mapping[str, Any],
) -> Elementwise | str:
    """Take a function apart, or say why it is not the same for every element.

    Args:
        function: it takes numbers and arrays, and returns a list of arrays and scalars.
        shape: the shape of the arrays; it must have more than one element.
        numbers: a tree of the shapes and dtypes of its numbers.
        arrays: those of its arrays, by name, all of the shape.
    """
    if math.prod(shape) < 2:
        return f"it has {math.prod(shape)} elements"
    numbers, arrays = jax.tree.map(_abstract, (numbers, dict(arrays)))
    flat, structure = jax.tree.flatten((numbers, arrays))
    traced = jax.make_jaxpr(lambda *given: function(*structure.unflatten(given)))(*flat)
    whole = jax.make_jaxpr(inlined(traced))(*flat)
    jaxpr, consts = opened(whole)
    outputs = jaxpr.outvars
    if any(x.aval.shape not in (shape, ()) for x in outputs):
        return "the rule returns an array of another shape"
    once, each = [], []
    for equation in _used(jaxpr):
        if why := _unlike(equation, shape):
            return why
        (each if _is_of(shape, equation.outvars[0]) else once).append(equation)
    constants = dict(zip(jaxpr.constvars, consts, strict=True))
    wanted = [x for e in each for x in e.invars] + list(outputs)
    wanted = [x for x in wanted if not isinstance(x, Literal)]
    crossing = [x for x in dict.fromkeys(wanted) if not _is_of(shape, x)]
    if not all(map(_is_number, crossing)):
        return "the rule uses an array of another shape"
    n = len(flat) - len(arrays)
    given_once, given_each = jaxpr.invars[:n], jaxpr.invars[n:]
    integers = _integers(once)
    late = set(map(id, integers))
    before = [e for e in once if id(e) not in late]
    computed = {x for e in integers for x in e.outvars}
    wanted = [x for e in integers for x in e.invars] + crossing
    wanted = [x for x in wanted if not isinstance(x, Literal)]
    handed = [x for x in dict.fromkeys(wanted) if x not in computed]

    def numbers_of(given: Any) -> list:
        leaves = jax.tree.leaves(given)
        known = constants | dict(zip(given_once, leaves, strict=True))
        known = _evaluated(before, known)
        return [jnp.reshape(known[x], ()) for x in handed]

    def integers_of(numbers: Sequence) -> list:
        known = _evaluated(integers, dict(zip(handed, numbers, strict=True)))
        return [known[x] for x in crossing]

    def elements_of(scalars: Sequence, given: Mapping[str, Any], index: Any) -> list:
        parts = [given[name] for name in sorted(arrays)]
        known = dict(zip(crossing, scalars, strict=True))
        known |= dict(zip(given_each, parts, strict=True))
        part = jnp.shape(parts[0])
        for e in each:
            values = values_of(known, e.invars)
            known[e.outvars[0]] = _on_part(e, values, part, index)
        return values_of(known, outputs)

    place = {x: i for i, x in enumerate(given_once)}
    given = tuple(place.get(x) for x in handed)
    return Elementwise(numbers_of, integers_of, elements_of, given)


def _evaluated(equations: Sequence, known: dict) -> dict:
    known = dict(known)
    for e in equations:
        results = e.primitive.bind(*values_of(known, e.invars), **e.params)
        results = results if e.primitive.multiple_results else [results]
        known |= dict(zip(e.outvars, results, strict=True))
    return known


def _integers(once: Sequence) -> list:
    """Return the equations of 32-bit integers that no other one waits for."""
    late: list = []
    waited: set = set()
    for e in reversed(once):
        scalars = all(not x.aval.shape for x in (*e.invars, *e.outvars))
        kinds = {x.aval.dtype.name for x in (*e.invars, *e.outvars)}
        alone = scalars and kinds <= {"int32", "uint32"} and e.primitive.name in _HASH
        if alone and not waited & set(e.outvars):
            late.append(e)
        else:
            waited |= {x for x in e.invars if not isinstance(x, Literal)}
    return late[::-1]


def _abstract(x: Any) -> Any:
    return jax.ShapeDtypeStruct(jnp.shape(x), x.dtype)


def _is_of(shape: tuple[int, ...], x: Any) -> bool:
    return x.aval.shape == shape


def _is_number(x: Any) -> bool:
    return math.prod(x.aval.shape) == 1


def _on_part(equation: Any, values: list, part: tuple[int, ...], index: Any) -> Any:
    """Compute one equation for a part of the arrays."""
    name = equation.primitive.name
    if name in CALLS:  # `index_in_array`, as the others are inlined
        return index(part)
    if name in _SAME:
        return values[0]
    if name in _SHAPING:
        scalar = jnp.shape(values[0]) != part
        return jax.lax.broadcast_in_dim(values[0], part, ()) if scalar else values[0]
    return equation.primitive.bind(*values, **equation.params)


def _unlike(equation: Any, shape: tuple[int, ...]) -> str:
    """Say why an equation is not the same for every element; nothing if it is."""
    name = equation.primitive.name
    arrays = [_is_of(shape, x) for x in equation.invars]
    if not any(arrays) and not any(_is_of(shape, x) for x in equation.outvars):
        return ""  # of numbers alone
    known = name in _EACH | _SAME | _SHAPING or is_index(equation)
    alike = all(_is_of(shape, x) for x in equation.outvars)
    alike &= all(
        a or _is_number(x) for a, x in zip(arrays, equation.invars, strict=True)
    )
    if known and alike and len(equation.outvars) == 1:
        return ""
    shapes = ", ".join(str(x.aval.shape) for x in equation.invars)
    return f"the rule uses `{name}` on {shapes or shape}, not one element at a time"


def _used(jaxpr: Any) -> list:
    """Return the equations that the outputs depend on."""
    needed, used = set(map(id, jaxpr.outvars)), []
    for equation in reversed(jaxpr.eqns):
        if any(id(x) in needed for x in equation.outvars):
            used.append(equation)
            needed |= set(map(id, equation.invars))
    return used[::-1]
