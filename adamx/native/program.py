"""A leaf function as a graph of what it computes for each element and block."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .flatten import Constant, Equation, Flat
from .graph import Graph, Node, Rows, Unfit, Where
from .simplify import converted, simplified

_UNARY = {"neg", "abs", "sign", "floor", "ceil", "sqrt", "is_finite", "not"}


_COMPARED = {"eq", "ne", "lt", "le", "gt", "ge"}


_BINARY = {
    *("add", "sub", "mul", "div", "rem", "max", "min", "and", "or", "xor"),
    "shift_left",
    *("shift_right_logical", "shift_right_arithmetic"),
    *_COMPARED,
}


_SAME = {"copy", "copy_p", "optimization_barrier", "stop_gradient", "squeeze"}


_MOVED = {"reshape", "expand_dims", *_SAME}


FLOATS = ("float32", "float64")


DTYPES = {
    *("bool", "float32", "float64", "float16", "bfloat16"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


class Affine(NamedTuple):
    """An integer for each place: the sum of the indices, each times a number."""

    shape: tuple[int, ...]
    times: tuple[int, ...]
    dtype: str


class Program(NamedTuple):
    """What a native loop computes.

    Attributes:
        graph: its nodes.
        rows: how the leaf is divided.
        outputs: the node of each output, and of what it holds one value each.
    """

    graph: Graph
    rows: Rows
    outputs: tuple[tuple[Node, Where], ...]


def rows_of(flat: Flat, shape: tuple[int, ...]) -> Rows:
    """Return the rows and blocks in which a leaf function works."""
    found = {_window(e) for e in flat.equations if _is_window(e)}
    if not found:
        return Rows(1, math.prod(shape))
    if len(found) > 1:
        raise Unfit("its slots have blocks of different sizes")
    return found.pop()


def _is_window(e: Equation) -> bool:
    return e.name in ("reduce_window", "reduce_window_max")


def _window(e: Equation) -> Rows:
    window, shape = e.params["window_dimensions"], e.avals[0].shape
    block = window[-1]
    tail = -shape[-1] % block
    ones = (1,) * len(shape)
    whole = (
        math.prod(window) == block
        and tuple(e.params["window_strides"]) == tuple(window)
        and tuple(e.params["padding"]) == ((0, 0),) * (len(shape) - 1) + ((0, tail),)
        and tuple(e.params["base_dilation"]) == ones
        and tuple(e.params["window_dilation"]) == ones
    )
    if not whole or block % 2 or block > 4096 or len(e.outputs) != 1:
        raise Unfit("it reduces over windows that are no blocks of a row")
    if e.name == "reduce_window":
        body = e.params["jaxpr"]
        eqns = getattr(body, "jaxpr", body).eqns
        if [x.primitive.name for x in eqns] != ["max"]:
            raise Unfit("it reduces over blocks by something else than a maximum")
    return Rows(math.prod(shape[:-1]), shape[-1], block)


def build(flat: Flat, shape: tuple[int, ...]) -> Program:
    """Return the graph of a leaf function; `shape` is that of the leaf.

    Raises:
        Unfit: it is no single pass over memory, or has an unknown operation.
    """
    if not shape:
        raise Unfit("a leaf of one number")
    return _Builder(flat, rows_of(flat, shape)).run()


class _Builder:
    def __init__(self, flat: Flat, rows: Rows) -> None:
        self.flat, self.rows, self.graph = flat, rows, Graph()
        self.known: dict[int, Node | Affine] = {}

    def run(self) -> Program:
        for number, aval in enumerate(self.flat.inputs):
            where = self.rows.where(aval.shape)
            if self.rows.is_padded(aval.shape) and where is Where.ELEMENT:
                raise Unfit("an operand is longer than the leaf")
            dtype = _dtype(aval)
            self.known[number] = self.graph.add("input", (), dtype, where, number)
        for e in self.flat.equations:
            self._equation(e)
        pairs = zip(self.flat.outputs, self.flat.out_avals, strict=True)
        outputs = tuple((self._node(v), self.rows.where(a.shape)) for v, a in pairs)
        if any(over is Where.LEAF for _, over in outputs):
            raise Unfit("it returns a number for the whole leaf")
        return Program(self.graph, self.rows, outputs)

    def _equation(self, e: Equation) -> None:
        several = len(e.inputs) > 1
        if e.name in _SAME and several:  # a barrier
            self.known |= dict(zip(e.outputs, map(self._value, e.inputs), strict=True))
            return
        if len(e.outputs) != 1:
            raise Unfit(f"the operation {e.name!r} is not known to the native loop")
        (number,), shape = e.outputs, e.out_avals[0].shape
        if e.name in ("mul", "add"):
            result = self._affine(e)
            if result is not None:
                self.known[number] = result
                return
        special = _SPECIAL.get(e.name)
        if special is not None:
            result = special(self, e)
        elif e.name in _MOVED:
            result = self._node(e.inputs[0])
        else:
            result = self._elementwise(e)
        if isinstance(result, Node) and result.where is not Where.LEAF:
            # also an error for what has the size of nothing that is known
            where = self.rows.where(shape) if shape else Where.LEAF
            if where is not result.where and result.where is not Where.BLOCK:
                raise Unfit(f"the operation {e.name!r} changes the order of elements")
        self.known[number] = result

    def _value(self, v: Any) -> Node | Affine:
        if isinstance(v, Constant):
            if np.size(v.value) != 1:
                raise Unfit("it has an array of constants")
            value = np.asarray(v.value).reshape(()).item()
            return self.graph.literal(value, _dtype(v.aval))
        return self.known[v]

    def _node(self, v: Any) -> Node:
        found = self._value(v)
        return self._place(found) if isinstance(found, Affine) else found

    def _place(self, x: Affine) -> Node:
        """Return the node of an index in row-major order, times a number."""
        live = [i for i, n in enumerate(x.shape) if n > 1]
        if not live:
            return self.graph.literal(0, x.dtype)
        if self.rows.is_padded(x.shape) and self.rows.where(x.shape) is Where.ELEMENT:
            raise Unfit("it counts beyond the end of rows")
        strides = {i: math.prod(x.shape[i + 1 :]) for i in live}
        times, size = x.times[live[-1]], 2 ** np.iinfo(x.dtype).bits
        if any((x.times[i] - times * strides[i]) % size for i in live):
            raise Unfit("it computes with the index of an axis")
        place = self.graph.add("place", (), x.dtype, self.rows.where(x.shape))
        if times == 1:
            return place
        return self.graph.add(
            "mul", (place, self.graph.literal(times, x.dtype)), x.dtype
        )

    def _affine(self, e: Equation) -> Affine | None:
        """Return the sum or the multiple of affine integers, if it is one."""
        a, b = map(self._value, e.inputs)
        if isinstance(a, Affine) and isinstance(b, Affine):
            if e.name == "add" and a.shape == b.shape:
                both = zip(a.times, b.times, strict=True)
                return a._replace(times=tuple(x + y for x, y in both))
            return None
        if isinstance(b, Affine):
            a, b = b, a
        if isinstance(a, Affine) and e.name == "mul" and b.op == "literal":  # pyright: ignore[reportAttributeAccessIssue]
            return a._replace(times=tuple(x * b.data for x in a.times))  # pyright: ignore[reportAttributeAccessIssue]
        return None

    # ---- operations of each element ------------------------------------------

    def _elementwise(self, e: Equation) -> Node:
        args = tuple(map(self._node, e.inputs))
        dtype = _dtype(e.out_avals[0])
        if e.name in _UNARY or e.name in _BINARY:
            if e.name in _COMPARED and args[0].dtype in ("bfloat16", "float16"):
                args = tuple(converted(self.graph, a, "float32") for a in args)
            narrow = {a.dtype for a in args if "float" in a.dtype} - set(FLOATS)
            if narrow:
                raise Unfit(f"it computes in {narrow.pop()}")
            self._check_shapes(e, args)
            return self._simplified(e.name, args, dtype)
        if e.name == "select_n":
            if len(args) != 3 or args[0].dtype != "bool":
                raise Unfit("it selects among more than two")
            self._check_shapes(e, args)
            return self.graph.add(e.name, args, dtype)
        raise Unfit(f"the operation {e.name!r} is not known to the native loop")

    def _simplified(self, op: str, args: tuple[Node, ...], dtype: str) -> Node:
        if args[0].dtype in FLOATS and op != "rem":
            return simplified(self.graph, op, args, dtype)
        if op in ("div", "rem"):
            by = args[1]
            if by.op != "literal" or by.data < 1 or "float" in by.dtype:
                raise Unfit("it divides integers by what is not known")
            if by.data == 1:
                return args[0] if op == "div" else self.graph.literal(0, dtype)
        return self.graph.add(op, args, dtype)

    def _check_shapes(self, e: Equation, args: tuple[Node, ...]) -> None:
        """Raise if an operand is spread over another axis than those of a block."""
        shape = e.out_avals[0].shape
        for aval, node in zip(e.avals, args, strict=True):
            same = aval.shape in ((), shape) or node.where is Where.LEAF
            spread = node.where is Where.BLOCK and aval.shape == (*shape[:-1], 1)
            if not (same or spread):
                raise Unfit(f"the operation {e.name!r} spreads an array over an axis")

    def _convert(self, e: Equation) -> Node:
        return converted(self.graph, self._node(e.inputs[0]), _dtype(e.out_avals[0]))

    def _bitcast(self, e: Equation) -> Node:
        x, dtype = self._node(e.inputs[0]), _dtype(e.out_avals[0])
        if e.avals[0].dtype.itemsize != e.out_avals[0].dtype.itemsize:
            raise Unfit("it reads numbers of one size as another")
        return x if x.dtype == dtype else self.graph.add(e.name, (x,), dtype)

    def _power(self, e: Equation) -> Node:
        """Return a power by the products that JAX writes for it."""
        x, y = self._node(e.inputs[0]), e.params.get("y", 2)
        if x.dtype not in FLOATS or not 0 < y <= 64:
            raise Unfit(f"the power {y} is not known to the native loop")
        power = None
        while y:
            if y & 1:
                power = (
                    x if power is None else self._simplified("mul", (power, x), x.dtype)
                )
            y >>= 1
            if y:
                x = self._simplified("mul", (x, x), x.dtype)
        assert power is not None
        return power

    def _clamp(self, e: Equation) -> Node:
        low, x, high = map(self._node, e.inputs)
        raised = self._simplified("max", (low, x), x.dtype)
        return self._simplified("min", (raised, high), x.dtype)

    # ---- operations of rows --------------------------------------------------

    def _broadcast(self, e: Equation) -> Node:
        x, shape = self._node(e.inputs[0]), e.out_avals[0].shape
        if x.where is Where.LEAF:
            return x
        dims, given = e.params["broadcast_dimensions"], e.avals[0].shape
        kept = math.prod(given) == math.prod(shape)
        if kept and tuple(sorted(dims)) == tuple(dims):
            return x
        lead = tuple(dims) == tuple(range(len(given)))
        spread = (
            given in (shape[:-1], (*shape[:-1], 1)) and shape[-1] == self.rows.block
        )
        if x.where is Where.BLOCK and lead and spread:
            return x
        raise Unfit("it spreads an array over an axis")

    def _iota(self, e: Equation) -> Affine:
        shape, axis = e.out_avals[0].shape, e.params["dimension"]
        dtype = _dtype(e.out_avals[0])
        if dtype not in ("uint32", "int32"):
            raise Unfit(f"it counts in {dtype}")
        return Affine(shape, tuple(int(i == axis) for i in range(len(shape))), dtype)

    def _largest(self, e: Equation) -> Node:
        x = self._node(e.inputs[0])
        least = self._node(e.inputs[1]) if len(e.inputs) > 1 else None
        at_zero = least is not None and least.op == "literal" and least.data == 0
        if not at_zero or x.where is not Where.ELEMENT or x.op == "pad":
            raise Unfit("it reduces over blocks from something else than 0")
        if x.dtype not in FLOATS:
            raise Unfit(f"it reduces over blocks in {x.dtype}")
        if x.op == "select_n" and x.args[1].op == "abs":
            none, size, infinite = x.args
            inner = size.args[0]
            asks = none.op == "ne" and none.args == (inner, inner)
            if asks and infinite.op == "literal" and infinite.data == math.inf:
                # by its bits a NaN is the largest: it is replaced once for the block
                top = self.graph.add("largest", (size,), x.dtype, Where.BLOCK)
                none = self.graph.add("ne", (top, top), "bool")
                return self.graph.add("select_n", (none, top, infinite), x.dtype)
        return self.graph.add("largest", (x,), x.dtype, Where.BLOCK)

    def _pad(self, e: Equation) -> Node:
        x, value = map(self._node, e.inputs)
        *lead, last = e.params["padding_config"]
        ends = tuple(last[:1]) + tuple(last[2:])
        if any(any(axis) for axis in lead) or any(ends) or last[1] < 0:
            raise Unfit("it pads something else than the end of rows")
        if x.where is not Where.ELEMENT or value.op != "literal":
            raise Unfit("it pads something else than elements")
        if last[1] == 1 and self.rows.length % 2:
            return self.graph.add("pad", (x,), x.dtype, data=value.data)
        return x  # what is beyond the end of a row is never used

    def _slice(self, e: Equation) -> Node:
        x, shape = self._node(e.inputs[0]), e.avals[0].shape
        strides = e.params["strides"] or (1,) * len(shape)
        starts, limits = e.params["start_indices"], e.params["limit_indices"]
        lead = (starts[:-1], limits[:-1], strides[:-1])
        whole = ((0,) * (len(shape) - 1), shape[:-1], (1,) * (len(shape) - 1))
        if tuple(map(tuple, lead)) != whole or x.where is not Where.ELEMENT:
            raise Unfit("it slices something else than the end of rows")
        start, limit, stride = starts[-1], limits[-1], strides[-1]
        rows = self.rows.length, self.rows.blocks * self.rows.block, 2 * self.rows.pairs
        if (start, stride) == (0, 1) and (limit == shape[-1] or shape[-1] in rows):
            return _unpadded(x)  # `_equation` checks that whole rows remain
        if stride == 2 and start in (0, 1) and shape[-1] == 2 * self.rows.pairs:
            if x.op != "pad" and self.rows.length % 2:
                raise Unfit("it packs rows of an odd length without filling them")
            beyond = x.data if x.op == "pad" else None
            inner = _unpadded(x)
            data = (start, beyond)
            return self.graph.add("half", (inner,), x.dtype, Where.PAIR, data)
        raise Unfit("it slices something else than the end of rows")

    def _stack(self, e: Equation) -> Node:
        args = tuple(map(self._node, e.inputs))
        shape = e.out_avals[0].shape
        axis = e.params.get("dimension", e.params.get("axis"))
        last = axis == len(shape) - 1 and shape[-1] == 2 and len(args) == 2
        if not last or any(a.where is not Where.PAIR for a in args):
            raise Unfit("it joins arrays that are no halves of pairs")
        return self.graph.add("unpack", args, args[0].dtype, Where.ELEMENT)


def _unpadded(x: Node) -> Node:
    return x.args[0] if x.op == "pad" else x


def _dtype(aval: Any) -> str:
    name = np.dtype(aval.dtype).name
    if name not in DTYPES:
        raise Unfit(f"numbers in {name} are not known to the native loop")
    return name


_SPECIAL: dict[str, Callable[[Any, Equation], Any]] = {
    "convert_element_type": _Builder._convert,
    "bitcast_convert_type": _Builder._bitcast,
    "integer_pow": _Builder._power,
    "square": _Builder._power,
    "clamp": _Builder._clamp,
    "broadcast_in_dim": _Builder._broadcast,
    "iota": _Builder._iota,
    "reduce_window": _Builder._largest,
    "reduce_window_max": _Builder._largest,
    "pad": _Builder._pad,
    "slice": _Builder._slice,
    "concatenate": _Builder._stack,
    "stack": _Builder._stack,
}
