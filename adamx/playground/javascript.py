"""A program of operations on single numbers, as the text of a JavaScript function.

JavaScript computes in float64. A value that is float32 in JAX is rounded to it.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from .scalars import Program, Value

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%", "pow": "**"}
_SIGNS |= {"eq": "===", "ne": "!==", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SIGNS |= {"and": "&&", "or": "||"}
_FORMS = {name: f"{{0}} {sign} {{1}}" for name, sign in _SIGNS.items()}
_OF_MATH = "abs sqrt exp expm1 log log1p sin cos tan tanh sign floor ceil trunc"
_FORMS |= {name: f"Math.{name}({{0}})" for name in _OF_MATH.split()}
_FORMS |= {name: f"Math.{name}({{0}}, {{1}})" for name in ("max", "min", "atan2")}
_FORMS |= {
    "quotient": "Math.trunc({0} / {1})",
    "neg": "-{0}",
    "not": "!{0}",
    "number": "+{0}",
    "select": "{0} ? {1} : {2}",
    "logistic": "1 / (1 + Math.exp(-{0}))",
    "float32": "Math.fround({0})",
    "is_finite": "Number.isFinite({0})",
}


def function(program: Program, arguments: Sequence[str]) -> str:
    """Return an arrow function of arrays that gives an array for each output."""
    lines = [
        f"const v{i} = {_FORMS[o.name].format(*map(_written, o.operands))};"
        for i, o in enumerate(program.operations)
    ]
    groups = (f"[{', '.join(map(_written, group))}]" for group in program.outputs)
    body = "\n".join([*lines, f"return [{', '.join(groups)}];"])
    return f"({', '.join(arguments)}) => {{\n{body}\n}}"


def _written(x: Any) -> str:
    if isinstance(x, Value):
        return f"v{x.place}"
    if isinstance(x, bool):
        return str(x).lower()
    if isinstance(x, int | float):
        if math.isnan(x):
            return "NaN"
        text = "Infinity" if math.isinf(x) else re.sub(r"\.0$", "", repr(abs(x)))
        return f"(-{text})" if math.copysign(1, x) < 0 else text
    return f"{x.argument}[{x.place}]"
