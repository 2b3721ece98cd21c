"""The programs of the playground, evaluated in NumPy as JavaScript evaluates them."""

import math

import numpy as np

from adamx.playground.scalars import Value

OPERATIONS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "quotient": lambda a, b: np.trunc(np.true_divide(a, b)),
    "rem": np.fmod,
    "pow": np.float_power,
    "max": np.maximum,
    "min": np.minimum,
    "abs": np.abs,
    "neg": np.negative,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "atan2": np.arctan2,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "is_finite": np.isfinite,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "number": np.float64,
    "float32": np.float32,
    "select": lambda which, then, otherwise: then if which else otherwise,
}


def evaluated(program, **arguments):
    """The groups that a program gives: lists of numbers."""
    values = []

    def of(x):
        if isinstance(x, Value):
            return values[x.place]
        if isinstance(x, bool | int | float):
            return x if isinstance(x, bool) else float(x)
        return arguments[x.argument][x.place]

    with np.errstate(all="ignore"):
        for name, operands in program.operations:
            found = OPERATIONS[name](*map(of, operands))
            values.append(bool(found) if isinstance(found, np.bool_) else float(found))
    return [[of(x) for x in group] for group in program.outputs]


def is_close(found, wanted, tolerance):
    """Whether numbers agree, relative to the larger of them and 1."""
    return all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
        for a, b in zip(found, wanted, strict=True)
    )
