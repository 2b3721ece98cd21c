"""Types of arguments in words: `ScalarOrSchedule` is a number, array or schedule.

They are read from the source, where an alias of `Any` still has its name. Signatures
are shown without them; the list of arguments has them.
"""

import ast
import functools
import inspect
import re
import textwrap
from typing import Any

from sphinx.application import Sphinx

WORDS = {
    "Hyper": ("number", "array", "schedule"),
    "ScalarOrSchedule": ("number", "array", "schedule"),
    "Eps": ("eps kind",),
    "Decay": ("weight decay",),
    "Callable": ("callable",),
    "Mapping": ("mapping",),
    "Part": ("rule",),
    "Reading": ("callable",),
    "int": ("int",),
    "float": ("float",),
    "bool": ("bool",),
    "str": ("str",),
    "None": ("None",),
}

BY_NAME = {
    "axis_name": "mesh axis name or names",
    "tx": "gradient transformation",
    "inner": "gradient transformation",
    "params": "tree of arrays",
    "updates": "tree of arrays",
    "grads": "tree of arrays",
    "state": "optimizer state",
    "saved": "saved state",
    "key": "random key",
    "seed": "int or random key",
    "dtype": "dtype",
    "codec": "codec",
    "part": "rule or gradient transformation",
    "parts": "rules or gradient transformations",
    "count": "array",
    "param": "array",
    "path": "path of the leaf",
    "threshold": "number",
    "b2": "number",
}
"""Where the annotation says nothing: by the name of the argument."""

MASK = "tree of bools, callable, predicate or regex"


def described(annotation: str, name: str) -> str:
    """An annotation in words; empty where nothing can be said."""
    words: list[str] = []
    if match := re.match(r"(?:\w+\.)?ClassVar\[(.*)\]$", annotation, re.S):
        annotation = match[1]
    for part in _alternatives(annotation):
        head = re.split(r"[\[(]", part)[0].split(".")[-1]
        if head == "Any":
            known = MASK if name.endswith("mask") else BY_NAME.get(name)
            if known is None:
                return ""
            words.append(known)
        elif head == "Literal":
            words += [
                repr(v) for v in ast.literal_eval(f"[{part[part.index('[') + 1 : -1]}]")
            ]
        elif head in ("Float", "Array", "Int", "Key"):
            words.append("array")
        elif head in ("tuple", "list", "dict"):
            words.append(head)
        else:
            words += WORDS.get(head, (head,))
    words = list(dict.fromkeys(words))
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _alternatives(annotation: str) -> list[str]:
    """The sides of the `|` outside brackets."""
    found, depth, start = [], 0, 0
    for place, char in enumerate(annotation):
        depth += (char in "[(") - (char in "])")
        if char == "|" and depth == 0:
            found.append(annotation[start:place].strip())
            start = place + 1
    return [*found, annotation[start:].strip()]


@functools.cache
def types(thing: Any) -> dict[str, str]:
    """The arguments of a function or the fields of a class, with types in words."""
    found: dict[str, str] = {}
    if inspect.isclass(thing):
        for base in reversed(thing.__mro__):
            if base.__module__.startswith("adamx"):
                found |= _fields(base)
    elif callable(thing):
        found = _arguments(thing)
    return {name: said for name, said in found.items() if said}


def _parsed(thing: Any) -> Any:
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    except (TypeError, OSError):
        return None
    return ast.parse(source).body[0]


def _fields(cls: type) -> dict[str, str]:
    tree = _parsed(cls)
    return {
        node.target.id: described(ast.unparse(node.annotation), node.target.id)
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _arguments(function: Any) -> dict[str, str]:
    tree = _parsed(function)
    if not isinstance(tree, ast.FunctionDef):
        return {}
    args = tree.args
    return {
        arg.arg: described(ast.unparse(arg.annotation), arg.arg)
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)
        if arg.annotation is not None
    }


def after_napoleon(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Put a type before each argument that the docstring describes."""
    del app, name, options
    if what not in ("function", "class", "method"):
        return
    known = types(obj)
    out: list[str] = []
    for line in lines:
        match = re.match(r"(\s*):(param|ivar) (\w+):", line)
        if match and match[3] in known:
            kind = "type" if match[2] == "param" else "vartype"
            out.append(f"{match[1]}:{kind} {match[3]}: *{known[match[3]]}*")
        out.append(line)
    lines[:] = out


def signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, sig: Any, returns: Any
) -> tuple[str, None] | None:
    """The signature without annotations, defaults as one writes them."""
    del app, name, options, returns
    if what not in ("function", "class", "method") or sig is None:
        return None
    try:
        given = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    parameters = [
        p.replace(annotation=p.empty, default=_default(p.default))
        for p in given.parameters.values()
        if not (what == "method" and p.name == "self")
    ]
    return str(inspect.Signature(parameters)), None


class _Written:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _default(value: Any) -> Any:
    if value is inspect.Parameter.empty:
        return value
    text = repr(value)
    if " at 0x" in text or text.startswith("<"):
        text = getattr(value, "__name__", type(value).__name__)
    return _Written(text)
