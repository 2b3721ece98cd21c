"""A traced function as a program of operations on single numbers.

Arrays are taken apart: of `mul` on two arrays of two numbers come two multiplications,
of `broadcast_in_dim` and `reshape` nothing. This is for small arrays of fixed shape.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import AdamxError
from ..native.flatten import Constant, Equation, flatten
from .scalars import Program

_SAME = """
    add sub mul max min abs neg sqrt pow exp expm1 log log1p logistic atan2 sin cos tan
    tanh sign floor ceil is_finite eq ne lt le gt ge"""
SAME = frozenset(_SAME.split())
"""Primitives that are one operation of the same name for each element."""

LOGICAL = frozenset({"and", "or", "not"})
REDUCTIONS = {"reduce_sum": "add", "reduce_max": "max", "reduce_min": "min"}
REDUCTIONS |= {"reduce_and": "and", "reduce_or": "or"}


def program(
    function: Callable[..., Any], *arguments: tuple[Any, list[np.ndarray]]
) -> Any:
    """Return a function's program, and what it gives as a tree of arrays of operands.

    Args:
        function: a function of arrays that can be traced.
        *arguments: for each argument a tree of shapes (`jax.ShapeDtypeStruct`), and the
            list of the operands of its leaves, arrays of the same shapes.

    Raises:
        ValueError: the function uses a primitive, or a dtype, that has no translation.
    """
    shapes = [tree for tree, _ in arguments]
    given = [operands for _, leaves in arguments for operands in leaves]
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*shapes)
    made = Program()
    results = _run(made, closed, given)
    return made, jax.tree.unflatten(jax.tree.structure(shape), results)


def _run(into: Program, closed: Any, given: Sequence[np.ndarray]) -> list[np.ndarray]:
    flat = flatten(closed)
    known: dict[int, np.ndarray] = dict(enumerate(given))

    def read(x: Any) -> np.ndarray:
        if isinstance(x, Constant):
            return np.asarray(x.value).astype(object)
        return known[x]

    for equation in flat.equations:
        operands = [read(x) for x in equation.inputs]
        known[equation.outputs[0]] = _translated(into, equation, operands)
    return [read(x) for x in flat.outputs]


def _translated(into: Program, e: Equation, operands: list[np.ndarray]) -> np.ndarray:
    name, out = e.name, e.out_avals[0]
    kind = _kind(e, out.dtype)
    if name in SAME or name in LOGICAL:
        if name in LOGICAL and kind != "bool":
            raise _unsupported(name, f" on {out.dtype}")
        return _each(into, name, kind, out.shape, operands)
    if name == "div":
        which = "quotient" if kind == "int" else "div"
        return _each(into, which, kind, out.shape, operands)
    if name == "rem":
        return _each(into, "rem", kind, out.shape, operands)
    if name == "add_any":
        return _each(into, "add", kind, out.shape, operands)
    if name == "square":
        return _each(into, "mul", kind, out.shape, operands * 2)
    if name == "rsqrt":
        root = _each(into, "sqrt", kind, out.shape, operands)
        return _each(into, "div", kind, out.shape, [np.array(1.0, object), root])
    if name == "integer_pow":
        exponent = np.array(e.params["y"], object)
        return _each(into, "pow", kind, out.shape, [*operands, exponent])
    if name == "select_n":
        if len(operands) != 3 or e.avals[0].dtype != bool:
            raise _unsupported(name, " of more than two cases")
        which, otherwise, then = operands
        return _each(into, "select", "", out.shape, [which, then, otherwise])
    if name == "convert_element_type":
        return _converted(into, _kind(e, e.avals[0].dtype), kind, operands[0])
    if name in REDUCTIONS:
        return _reduced(into, REDUCTIONS[name], kind, operands[0], e.params["axes"])
    return _moved(e, operands)


def _moved(e: Equation, operands: list[np.ndarray]) -> np.ndarray:
    """Translate what computes nothing, but moves elements."""
    params, shape = e.params, e.out_avals[0].shape
    x = operands[0] if operands else np.empty(0, object)
    match e.name:
        case "broadcast_in_dim":
            axes = params["broadcast_dimensions"]
            spread = [1] * len(shape)
            for axis, size in zip(axes, x.shape, strict=True):
                spread[axis] = size
            return np.broadcast_to(x.reshape(spread), shape)
        case "reshape" | "squeeze" | "expand_dims":
            return x.reshape(shape)
        case "transpose":
            return x.transpose(params["permutation"])
        case "slice":
            steps = params["strides"] or (1,) * x.ndim
            starts, limits = params["start_indices"], params["limit_indices"]
            return x[tuple(map(slice, starts, limits, steps))]
        case "concatenate":
            return np.concatenate(operands, params["dimension"])
        case "stack":
            return np.stack(operands, params["axis"])
        case "copy" | "stop_gradient":
            return x
        case "iota":
            counted = np.arange(shape[params["dimension"]]).astype(object)
            sizes = [1] * len(shape)
            sizes[params["dimension"]] = -1
            return np.broadcast_to(counted.reshape(sizes), shape)
    raise _unsupported(e.name)


def _each(
    into: Program,
    name: str,
    kind: str,
    shape: tuple[int, ...],
    operands: Sequence[np.ndarray],
) -> np.ndarray:
    spread = [np.broadcast_to(x, shape) for x in operands]
    made = np.empty(shape, object)
    for at in np.ndindex(shape):
        value = into.emit(name, *(x[at] for x in spread))
        made[at] = into.emit("float32", value) if kind == "float32" else value
    return made


def _converted(into: Program, old: str, new: str, x: np.ndarray) -> np.ndarray:
    if new == old or (old == "float32" and new == "float64"):
        return x
    if new == "bool":
        return _each(into, "ne", "bool", x.shape, [x, np.array(0, object)])
    if new == "int" and old != "bool":
        return _each(into, "trunc", new, x.shape, [x])
    if old == "bool":
        x = _each(into, "number", new, x.shape, [x])
    return _each(into, "float32", "", x.shape, [x]) if new == "float32" else x


def _reduced(
    into: Program, name: str, kind: str, x: np.ndarray, axes: Sequence[int]
) -> np.ndarray:
    """Join the elements along axes one after another, from the first on."""
    x = np.moveaxis(x, axes, range(len(axes)))
    shape = x.shape[len(axes) :]
    x = x.reshape(-1, *shape)
    total, *rows = (row.reshape(shape) for row in np.split(x, len(x)))
    for row in rows:
        total = _each(into, name, kind, shape, [total, row])
    return total


def _kind(e: Equation, dtype: Any) -> str:
    if dtype == jnp.bool_:
        return "bool"
    if jnp.issubdtype(dtype, jnp.integer):
        return "int"
    if dtype in (jnp.float32, jnp.float64):
        return str(dtype)
    raise _unsupported(e.name, f" on {dtype}")


def _unsupported(name: str, what: str = "") -> AdamxError:
    return AdamxError(
        f"playground: a step must be made of primitives that have a translation into "
        f"JavaScript, got `{name}`{what}. Translate it in adamx/playground/jaxprs.py."
    )
