"""Operations written in a cheaper form with the same value, bit for bit.

Codecs compute small integers as floats. Here they are integers again, where every
value between is exact.
"""

import math

import numpy as np

from .graph import Graph, Node

_EXACT = 2**24  # integers below it are float32


def simplified(graph: Graph, op: str, args: tuple[Node, ...], dtype: str) -> Node:
    """Return the node of an operation on floats."""
    a, b = args[0], args[-1]
    if op == "div" and b.op == "literal" and b.data:
        # as XLA's algebraic simplifier does
        number = np.dtype(dtype).type(1) / np.dtype(dtype).type(b.data)
        return _product(graph, a, graph.literal(number, dtype), dtype)
    if op == "mul":
        return _product(graph, a, b, dtype)
    if op == "max":
        for x, least in ((a, b), (b, a)):
            if least.op == "literal" and least.data == 0 and x.unsigned:
                return x
    return graph.add(op, args, dtype)


def _product(graph: Graph, a: Node, b: Node, dtype: str) -> Node:
    """Join the factors of (x 2ᵏ) c, if neither product can leave the range."""
    if a.op == "literal":
        a, b = b, a
    if b.op == "literal" and a.op == "mul" and a.args[1].op == "literal":
        x, power = a.args
        limits = np.finfo(dtype)
        ends = x.bounds
        exact = math.frexp(power.data)[0] == 0.5 and ends is not None
        if exact and ends is not None and ends[0] > 0:
            least, most = ends[0] * power.data, ends[1] * power.data
            factor = power.data * b.data
            inside = limits.tiny <= least and most < limits.max
            if inside and limits.tiny <= abs(factor) < limits.max:
                return _product(graph, x, graph.literal(factor, dtype), dtype)
    if b.op == "literal" and b.data == 1:
        return a
    return graph.add("mul", (a, b), dtype)


def converted(graph: Graph, x: Node, dtype: str) -> Node:
    """Return the node of a conversion."""
    if x.dtype == dtype:
        return x
    if x.op == "literal" and math.isfinite(x.data):
        if "int" not in dtype:
            return graph.literal(np.dtype(dtype).type(x.data), dtype)
        if x.data == int(x.data) and _inside(x, dtype):
            return graph.literal(int(x.data), dtype)
    if dtype == "bfloat16" and _is_cut(x):
        # what has nothing beyond bfloat16 is not rounded
        high = graph.literal(16, "uint32")
        half = graph.add("shift_right_logical", (x.args[0], high), "uint32")
        half = graph.add("convert_element_type", (half,), "uint16")
        return graph.add("bitcast_convert_type", (half,), dtype)
    if "float" in x.dtype and "int" in dtype:
        whole = as_integer(graph, x)
        if whole is not None and _inside(whole, dtype):
            return _between_integers(graph, whole, dtype)
    return graph.add("convert_element_type", (x,), dtype)


def _is_cut(x: Node) -> bool:
    """Return whether a float32 is made of bits of which the lower half is 0."""
    if x.op != "bitcast_convert_type" or x.args[0].dtype != "uint32":
        return False
    bits = x.args[0]
    masks = [a.data for a in bits.args if a.op == "literal"]
    return bits.op == "and" and any(mask & 0xFFFF == 0 for mask in masks)


def _between_integers(graph: Graph, x: Node, dtype: str) -> Node:
    if x.dtype == dtype:
        return x
    return graph.add("convert_element_type", (x,), dtype)


def _inside(x: Node, dtype: str) -> bool:
    known, ends = np.iinfo(dtype), x.bounds
    return ends is not None and known.min <= ends[0] and ends[1] <= known.max


def as_integer(graph: Graph, x: Node) -> Node | None:
    """Return an int32 node with the value of a float, if it is one and small."""
    found = _as_integer(graph, x)
    if found is None or found.bounds is None:
        return None
    exact = found.bounds[0] >= -_EXACT and found.bounds[1] <= _EXACT
    return found if exact else None


def _as_integer(graph: Graph, x: Node) -> Node | None:
    if x.op == "literal":
        whole = math.isfinite(x.data) and x.data == int(x.data)
        return graph.literal(int(x.data), "int32") if whole else None
    if x.op == "convert_element_type" and "float" not in x.args[0].dtype:
        given = x.args[0]
        fits = given.bounds is not None and _inside(given, "int32")
        return _between_integers(graph, given, "int32") if fits else None
    if x.op == "floor":
        return as_integer(graph, _without_part(x.args[0]))
    if x.op in ("abs", "neg", "add", "sub", "min", "max"):
        args = [as_integer(graph, a) for a in x.args]
        known = tuple(a for a in args if a is not None)
        return graph.add(x.op, known, "int32") if len(known) == len(args) else None
    if x.op == "select_n":
        args = [as_integer(graph, a) for a in x.args[1:]]
        known = tuple(a for a in args if a is not None)
        return (
            graph.add(x.op, (x.args[0], *known), "int32") if len(known) == 2 else None
        )
    return None


def _without_part(x: Node) -> Node:
    """Return n for n + a part below 1: its floor, if n is a small integer."""
    if x.op == "add":
        for n, part in (x.args, x.args[::-1]):
            small = n.bounds is not None and max(map(abs, n.bounds)) < _EXACT / 4
            if part.op == "literal" and 0 <= part.data < 1 and small:
                return n
    return x
