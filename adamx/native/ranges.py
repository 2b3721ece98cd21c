"""What is known of the value of an operation before it is computed."""

import math
from typing import Any

import numpy as np

Bounds = tuple[float, float] | None


def bounds(op: str, args: tuple, dtype: str, data: Any) -> Bounds:
    """Return the least and the largest value; None if it may be NaN or any float."""
    if dtype == "bool":
        return 0, 1
    found = _found(op, args, data)
    if "float" in dtype:
        return found
    whole = np.iinfo(dtype).min, np.iinfo(dtype).max
    inside = found is not None and whole[0] <= found[0] and found[1] <= whole[1]
    return found if inside and found is not None else whole


def _found(op: str, args: tuple, data: Any) -> Bounds:
    if op == "literal":
        return (data, data) if math.isfinite(data) else None
    given = [a.bounds for a in args]
    if op == "and":
        masks = [a.data for a in args if a.op == "literal" and a.data >= 0]
        return (0, masks[0]) if masks else None
    if op == "select_n":
        given = given[1:]
    if not given or any(x is None for x in given):
        return None
    (a, b), *others = given
    c, d = others[0] if others else (a, b)
    if op == "convert_element_type":
        return a, b
    if op in ("floor", "ceil"):
        return math.floor(a), math.ceil(b)
    if op == "abs":
        return (0 if a < 0 < b else min(abs(a), abs(b))), max(abs(a), abs(b))
    if op == "neg":
        return -b, -a
    if op == "add":
        return a + c, b + d
    if op == "sub":
        return a - d, b - c
    if op == "mul":
        ends = a * c, a * d, b * c, b * d
        return min(ends), max(ends)
    if op in ("min", "max"):
        choose = min if op == "min" else max
        return choose(a, c), choose(b, d)
    if op == "select_n":
        return min(a, c), max(b, d)
    shifts = op == "shift_right_arithmetic" or (op == "shift_right_logical" and a >= 0)
    if shifts and args[1].op == "literal":
        return int(a) >> args[1].data, int(b) >> args[1].data
    return None


def never_negative(op: str, args: tuple, data: Any) -> bool:
    """Return whether the sign bit of a float is never set, NaN included."""
    if op == "literal":
        return math.copysign(1, data) > 0
    if op == "select_n":
        return all(a.unsigned for a in args[1:])
    return op == "abs"
