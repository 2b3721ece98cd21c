"""Scalars that XLA computes before a native loop, as they use its functions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .flatten import Constant, Equation, Flat, needed

# of scalars, what rounds alike here and in XLA
_EXACT = {
    *("add", "sub", "mul", "div", "max", "min", "and", "or", "xor", "not", "neg"),
    *("abs", "sign", "floor", "ceil", "sqrt", "is_finite", "select_n", "clamp"),
    *("eq", "ne", "lt", "le", "gt", "ge", "shift_left", "shift_right_logical"),
    *("shift_right_arithmetic", "convert_element_type", "bitcast_convert_type"),
    *("copy", "copy_p", "optimization_barrier", "stop_gradient", "integer_pow"),
    *("broadcast_in_dim", "reshape", "squeeze", "square", "iota"),
}


def hoisted(flat: Flat) -> tuple[Callable[[Sequence], list], Flat]:
    """Return a function of the operands that computes scalars, and what is left.

    What is left is given the operands and then these scalars.
    """
    makers = {number: e for e in flat.equations for number in e.outputs}

    def is_scalar(e: Equation) -> bool:
        return all(a.shape == () for a in (*e.avals, *e.out_avals))

    first: set[int] = set()
    for e in flat.equations:
        if is_scalar(e) and not _is_native(e):
            first.update(e.outputs)
    order = needed(flat.equations, first)
    if any(not is_scalar(e) for e in order):  # they depend on arrays
        return (lambda operands: []), flat
    wanted = sorted(first)
    if not wanted:
        return (lambda operands: []), flat
    fresh = 1 + max([*makers, len(flat.inputs)])
    moved = {n: len(flat.inputs) + i for i, n in enumerate(wanted)}

    # numbers of inputs come first: those of the others move behind them
    def renamed(v: Any) -> Any:
        if not isinstance(v, int):
            return v
        if v in moved:
            return moved[v]
        return v if v < len(flat.inputs) else v + fresh

    left = [
        e._replace(
            inputs=tuple(map(renamed, e.inputs)), outputs=tuple(map(renamed, e.outputs))
        )
        for e in flat.equations
        if not first.intersection(e.outputs)
    ]
    avals = tuple(_aval(makers[n], n) for n in wanted)
    outputs = tuple(map(renamed, flat.outputs))
    left = needed(left, outputs)
    rest = Flat(flat.inputs + avals, left, outputs, flat.out_avals)

    def scalars(operands: Sequence) -> list:
        known: dict[int, Any] = dict(enumerate(operands))

        def read(v: Any) -> Any:
            return v.value if isinstance(v, Constant) else known[v]

        for e in order:
            results = e.origin.primitive.bind(*map(read, e.inputs), **e.params)
            many = e.origin.primitive.multiple_results
            known |= dict(zip(e.outputs, results if many else [results], strict=True))
        return [known[n] for n in wanted]

    return scalars, rest


def _is_native(e: Equation) -> bool:
    narrow = any(np.dtype(a.dtype).name in ("bfloat16", "float16") for a in e.avals)
    of_integers = all("float" not in np.dtype(a.dtype).name for a in e.avals)
    inexact = e.name in ("div", "sign", "integer_pow") and of_integers
    by_variable = e.name.startswith("shift") and not isinstance(e.inputs[1], Constant)
    return e.name in _EXACT and not (inexact or by_variable or narrow)


def _aval(e: Equation, number: int) -> Any:
    return e.out_avals[e.outputs.index(number)]
