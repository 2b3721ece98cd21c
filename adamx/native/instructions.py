"""LLVM instructions for one value: the operations of JAX, with XLA's meaning.

Products and sums may be contracted to one rounding (`contract`), as XLA allows on a
CPU.
"""

import struct
from typing import Any

import numpy as np

from .graph import Node, Unfit

_BITS = {"bool": 1, "bfloat16": 16, "float16": 16, "float32": 32, "float64": 64}


_FLOATS = {"float32": "float", "float64": "double", "float16": "half"}


_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul"}


_COMPARED = {
    "eq": "oeq",
    "ne": "une",
    "lt": "olt",
    "le": "ole",
    "gt": "ogt",
    "ge": "oge",
}


_ROUNDED = {"floor": "floor", "ceil": "ceil", "sqrt": "sqrt", "abs": "fabs"}


def bits(dtype: str) -> int:
    return _BITS.get(dtype) or int(dtype.lstrip("uint"))


def type_of(dtype: str) -> str:
    """Return the type of a value; bfloat16 is held as its 16 bits."""
    return _FLOATS.get(dtype) or f"i{bits(dtype)}"


def kept_type(dtype: str) -> str:
    """Return the type in memory."""
    return "i8" if dtype == "bool" else type_of(dtype)


def is_float(dtype: str) -> bool:
    return dtype in ("float32", "float64")


def constant(value: Any, dtype: str) -> str:
    """Return a number as LLVM reads it."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype == "float16":
        return f"0xH{np.float16(value).view(np.uint16):04X}"
    if dtype == "bfloat16":
        return str(int(np.float32(value).view(np.uint32) >> 16))
    if dtype in _FLOATS:
        with np.errstate(over="ignore"):
            number = float(np.dtype(dtype).type(value))
        return "0x" + struct.pack(">d", number).hex().upper()
    return str(value)


class Writer:
    """Lines of a function, names for its values, and the intrinsics it calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declared: dict[str, None] = {}
        self._names = 0

    def name(self) -> str:
        self._names += 1
        return f"%v{self._names}"

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def let(self, text: str) -> str:
        name = self.name()
        self.line(f"{name} = {text}")
        return name

    def call(self, function: str, result: str, *args: tuple[str, str]) -> str:
        types = ", ".join(t for t, _ in args)
        self.declared[f"declare {result} @{function}({types})"] = None
        given = ", ".join(f"{t} {value}" for t, value in args)
        return self.let(f"call {result} @{function}({given})")

    def intrinsic(self, name: str, kind: str, *values: str) -> str:
        suffix = {"float": "f32", "double": "f64", "half": "f16"}.get(kind, kind)
        return self.call(f"llvm.{name}.{suffix}", kind, *((kind, v) for v in values))

    def operation(self, n: Node, args: list[str]) -> str:
        """Write the operation of a node on values; return the result."""
        dtype = n.args[0].dtype
        kind = type_of(dtype)
        if n.op == "convert_element_type":
            return self.converted(args[0], n.args[0], n.dtype)
        if n.op == "bitcast_convert_type":
            target = type_of(n.dtype)
            return (
                args[0]
                if kind == target
                else self.let(f"bitcast {kind} {args[0]} to {target}")
            )
        if n.op == "select_n":
            kind = type_of(n.dtype)
            p, no, yes = args
            return self.let(f"select i1 {p}, {kind} {yes}, {kind} {no}")
        if n.op in _COMPARED:
            return self._compared(n.op, dtype, *args)
        if n.op == "max" and is_float(dtype):
            zeros = [constant(0.0, dtype) == value for value in args]
            if any(zeros):  # cheaper than the intrinsic, which orders zeros
                x = args[1 if zeros[0] else 0]
                over = self.let(f"fcmp ugt {kind} {x}, 0.0")
                return self.let(f"select i1 {over}, {kind} {x}, {kind} 0.0")
        if is_float(dtype):
            return self._of_floats(n.op, kind, *args)
        return self._of_integers(n, dtype, args)

    def _of_floats(self, op: str, kind: str, *args: str) -> str:
        if op in _ARITHMETIC:
            return self.let(f"{_ARITHMETIC[op]} contract {kind} {', '.join(args)}")
        if op == "div":
            return self.let(f"fdiv {kind} {', '.join(args)}")
        if op == "neg":
            return self.let(f"fneg {kind} {args[0]}")
        if op in ("max", "min"):
            return self.intrinsic(f"{op}imum", kind, *args)
        if op in _ROUNDED:
            return self.intrinsic(_ROUNDED[op], kind, *args)
        if op == "is_finite":
            size = self.intrinsic("fabs", kind, args[0])
            return self.let(f"fcmp one {kind} {size}, 0x7FF0000000000000")
        if op == "sign":
            one = self.intrinsic("copysign", kind, "1.0", args[0])
            none = self.let(f"fcmp ueq {kind} {args[0]}, 0.0")
            return self.let(f"select i1 {none}, {kind} {args[0]}, {kind} {one}")
        raise Unfit(f"the operation {op!r} is not known to the native loop")

    def _of_integers(self, n: Node, dtype: str, args: list[str]) -> str:
        kind, op = type_of(dtype), n.op
        if op in ("add", "sub", "mul", "and", "or", "xor"):
            return self.let(f"{op} {kind} {', '.join(args)}")
        if op in ("div", "rem"):  # by a positive number
            sign = "u" if dtype[0] in "ub" else "s"
            return self.let(f"{sign}{op} {kind} {', '.join(args)}")
        if op == "sign":
            above = self.let(f"icmp sgt {kind} {args[0]}, 0")
            one = self.let(f"zext i1 {above} to {kind}")
            below = self.let(f"icmp slt {kind} {args[0]}, 0")
            return self.let(f"select i1 {below}, {kind} -1, {kind} {one}")
        if op == "not":
            return self.let(f"xor {kind} {args[0]}, -1")
        if op == "neg":
            return self.let(f"sub {kind} 0, {args[0]}")
        if op == "abs":
            return self.call(f"llvm.abs.{kind}", kind, (kind, args[0]), ("i1", "false"))
        if op in ("max", "min"):
            sign = "u" if dtype[0] in "ub" else "s"
            return self.intrinsic(f"{sign}{op}", kind, *args)
        if op.startswith("shift"):
            how = {"shift_left": "shl", "shift_right_logical": "lshr"}.get(op, "ashr")
            by = n.args[1]
            if by.op == "literal" and 0 <= by.data < bits(dtype):
                return self.let(f"{how} {kind} {args[0]}, {args[1]}")
        raise Unfit(f"the operation {op!r} is not known to the native loop")

    def _compared(self, op: str, dtype: str, a: str, b: str) -> str:
        kind = type_of(dtype)
        if is_float(dtype):
            return self.let(f"fcmp {_COMPARED[op]} {kind} {a}, {b}")
        sign = "" if op in ("eq", "ne") else "u" if dtype[0] in "ub" else "s"
        return self.let(f"icmp {sign}{op} {kind} {a}, {b}")

    # ---- conversions ---------------------------------------------------------

    def converted(self, x: str, n: Node, target: str) -> str:
        """Convert the value of a node to another dtype."""
        source = n.dtype
        if target == "bool":
            if is_float(source):
                return self._compared("ne", source, x, constant(0, source))
            return self._compared("ne", source, x, "0")
        if source in ("bfloat16", "float16"):
            return self.converted_from(self._widened(x, source), "float32", n, target)
        return self.converted_from(x, source, n, target)

    def converted_from(self, x: str, source: str, n: Node, target: str) -> str:
        kind, wanted = type_of(source), type_of(target)
        if source == target:
            return x
        if is_float(source):
            if target == "bfloat16":
                return self._bfloat16(self.converted_from(x, source, n, "float32"))
            if target in _FLOATS:
                how = "fpext" if bits(target) > bits(source) else "fptrunc"
                return self.let(f"{how} {kind} {x} to {wanted}")
            return self._to_integer(x, kind, n, target)
        if target in ("bfloat16", "float16"):
            wide = self.converted_from(x, source, n, "float32")
            return self.converted_from(wide, "float32", n, target)
        unsigned = source[0] in "ub"
        if not is_float(target):
            if bits(target) == bits(source):
                return x
            how = (
                "trunc"
                if bits(target) < bits(source)
                else "zext"
                if unsigned
                else "sext"
            )
            return self.let(f"{how} {kind} {x} to {wanted}")
        if unsigned and bits(source) < 32:
            x, kind, unsigned = self.let(f"zext {kind} {x} to i32"), "i32", False
        bounds = n.bounds
        small = bounds is not None and bounds[1] < 2**31
        how = "uitofp" if unsigned and not small else "sitofp"
        return self.let(f"{how} {kind} {x} to {wanted}")

    def _to_integer(self, x: str, kind: str, n: Node, target: str) -> str:
        wanted, bounds = type_of(target), n.bounds
        if (
            bounds is not None
            and bits(target) <= 32
            and bounds[0] >= -(2**31)
            and bounds[1] < 2**31
        ):
            whole = self.let(f"fptosi {kind} {x} to i32")
            return (
                whole if wanted == "i32" else self.let(f"trunc i32 {whole} to {wanted}")
            )
        if bits(target) < 32:  # the saturating intrinsics are slow on a CPU
            least, most = np.iinfo(target).min, np.iinfo(target).max
            known = self.let(f"fcmp ord {kind} {x}, {x}")
            x = self.let(f"select i1 {known}, {kind} {x}, {kind} 0.0")
            for bound, over in ((least, "olt"), (most, "ogt")):
                number = constant(bound, "float64")
                beyond = self.let(f"fcmp {over} {kind} {x}, {number}")
                x = self.let(f"select i1 {beyond}, {kind} {number}, {kind} {x}")
            whole = self.let(f"fptosi {kind} {x} to i32")
            return self.let(f"trunc i32 {whole} to {wanted}")
        how = "fptoui" if target[0] == "u" else "fptosi"
        suffix = "f32" if kind == "float" else "f64"
        return self.call(f"llvm.{how}.sat.{wanted}.{suffix}", wanted, (kind, x))

    def _widened(self, x: str, source: str) -> str:
        if source == "float16":
            return self.let(f"fpext half {x} to float")
        wide = self.let(f"zext i16 {x} to i32")
        shifted = self.let(f"shl i32 {wide}, 16")
        return self.let(f"bitcast i32 {shifted} to float")

    def _bfloat16(self, x: str) -> str:
        """Round float32 to nearest, halves to even; NaN stays NaN."""
        whole = self.let(f"bitcast float {x} to i32")
        high = self.let(f"lshr i32 {whole}, 16")
        odd = self.let(f"and i32 {high}, 1")
        bias = self.let(f"add i32 {odd}, 32767")
        rounded = self.let(f"add i32 {whole}, {bias}")
        cut = self.let(f"lshr i32 {rounded}, 16")
        quiet = self.let(f"or i32 {high}, 64")
        none = self.let(f"fcmp uno float {x}, {x}")
        chosen = self.let(f"select i1 {none}, i32 {quiet}, i32 {cut}")
        return self.let(f"trunc i32 {chosen} to i16")

    def larger(self, acc: str, x: str, n: Node) -> str:
        """Return the larger of two; of never negative floats by their bits."""
        kind = type_of(n.dtype)
        if n.unsigned:
            return self.intrinsic("umax", f"i{bits(n.dtype)}", acc, x)
        return self.intrinsic("maximum", kind, acc, x)
