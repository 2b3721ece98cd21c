"""The native loop of a program, in LLVM's language.

    void name(void** arrays, int64_t* sizes, int64_t first, int64_t last)

It computes the units from `first` to before `last`: elements, or blocks if the leaf has
any. `arrays` are the operands that are used and the results that have memory of their
own; `sizes` are the length of a row, the blocks and the pairs of a row.
"""

import hashlib
from typing import NamedTuple

from .graph import Node, Where
from .instructions import Writer, bits, constant, kept_type, type_of
from .program import Program
from .schedule import Loop, Schedule, schedule


class Kernel(NamedTuple):
    """A native loop: its code, the same for all leaves that differ in sizes only.

    Attributes:
        name: of its function, by the code.
        code: in LLVM's language.
        arrays: what it is given: ("in", number) or ("out", number).
        unit: the elements of a unit: 1, or those of a block.
    """

    name: str
    code: str
    arrays: tuple[tuple[str, int], ...]
    unit: int


def kernel(program: Program, aliases: dict[int, int]) -> Kernel:
    """Return the native loop; `aliases` says which input's memory an output takes."""
    plan = schedule(program, aliases)
    used = {a.data for n in _used(plan, program) for a in (n,) if a.op == "input"}
    arrays = [("in", i) for i in sorted(used | set(aliases.values()))]
    own = [i for i in range(len(program.outputs)) if i not in aliases]
    arrays += [("out", i) for i in own]
    code = _Kernel(program, plan, aliases, arrays).text()
    digest = hashlib.sha256(code.encode()).hexdigest()[:24]
    name = f"adamx_{digest}"
    unit = program.rows.block or 1
    return Kernel(name, code.replace("@KERNEL", f"@{name}"), tuple(arrays), unit)


def _used(plan: Schedule, program: Program) -> list[Node]:
    uses = [a for n in plan.leaf for a in n.args]
    for loop in plan.loops:
        uses += [a for n in loop.nodes for a in n.args]
    return uses + [n for n, _ in program.outputs]


class _Kernel:
    def __init__(
        self,
        program: Program,
        plan: Schedule,
        aliases: dict[int, int],
        arrays: list[tuple[str, int]],
    ) -> None:
        self.program, self.plan, self.aliases = program, plan, aliases
        self.arrays = {key: f"%a{i}" for i, key in enumerate(arrays)}
        self.out = Writer()
        self.once: dict[Node, str] = {}  # values of the leaf and of the block
        self.buffers: dict[Node, str] = {}
        self.constants: dict[tuple[str, str], str] = {}
        self.dtypes = {n.data: n.dtype for n in program.graph.nodes if n.op == "input"}

    def text(self) -> str:
        w, block = self.out, self.program.rows.block
        w.label("entry")
        for n in sorted(self.plan.buffered, key=lambda n: n.number):
            name = w.name()
            w.line(f"{name} = alloca [{block + 2} x {kept_type(n.dtype)}], align 64")
            self.buffers[n] = name
        for n in _used(self.plan, self.program):
            if n.where is Where.LEAF and n.op == "input":
                self._shared(n)
        for n in self.plan.leaf:
            self.once[n] = w.operation(n, [self._shared(a) for a in n.args])
        self._blocks() if block else self._elements()
        w.label("done")
        w.line("ret void")
        given = ", ".join(f"ptr noalias {a}" for a in self.arrays.values())
        sizes = "i64 %length, i64 %blocks, i64 %pairs, i64 %first, i64 %last"
        body = [
            f"define internal void @KERNEL.body({given}, {sizes}) #0 {{",
            w.lines[0],
            *self._constants(),
            *w.lines[1:],
            "}",
        ]
        kept = [
            f"@KERNEL.c{i} = global {kind} {value}"  # LLVM must not know its value
            for i, (value, kind) in enumerate(self.constants)
        ]
        lines = [*kept, *body, *self._entry(), *w.declared, *_ATTRIBUTES, ""]
        return "\n".join(lines)

    def _constants(self) -> list[str]:
        return [
            f"  {name} = load {kind}, ptr @KERNEL.c{i}"
            for i, ((_, kind), name) in enumerate(self.constants.items())
        ]

    def _entry(self) -> list[str]:
        lines = [
            "define void @KERNEL(ptr %arrays, ptr %sizes, i64 %first, i64 %last) #0 {"
        ]
        for i, name in enumerate(self.arrays.values()):
            lines.append(f"  %at{i} = getelementptr ptr, ptr %arrays, i64 {i}")
            lines.append(f"  {name} = load ptr, ptr %at{i}")
        for i, name in enumerate(("length", "blocks", "pairs")):
            lines.append(f"  %size{i} = getelementptr i64, ptr %sizes, i64 {i}")
            lines.append(f"  %{name} = load i64, ptr %size{i}")
        given = ", ".join(f"ptr {a}" for a in self.arrays.values())
        sizes = "i64 %length, i64 %blocks, i64 %pairs, i64 %first, i64 %last"
        return [
            *lines,
            f"  call void @KERNEL.body({given}, {sizes})",
            "  ret void",
            "}",
        ]

    # ---- loops ---------------------------------------------------------------

    def _elements(self) -> None:
        for loop in self.plan.loops:
            self._run(loop, "%first", "%last", {Where.ELEMENT: "0"}, f"t{loop.turn}")
        self.out.line("br label %done")

    def _blocks(self) -> None:
        w, block = self.out, self.program.rows.block
        w.line("%none = icmp sge i64 %first, %last")
        w.line("br i1 %none, label %done, label %tile")
        w.label("tile")
        w.line("%t = phi i64 [ %first, %entry ], [ %t.next, %tile.end ]")
        w.line("%row = udiv i64 %t, %blocks")
        w.line("%before = mul i64 %row, %blocks")
        w.line("%b = sub i64 %t, %before")
        w.line(f"%start = mul nuw nsw i64 %b, {block}")
        w.line("%rest = sub i64 %length, %start")
        w.line(f"%n = call i64 @llvm.smin.i64(i64 %rest, i64 {block})")
        w.declared["declare i64 @llvm.smin.i64(i64, i64)"] = None
        w.line("%row.elements = mul i64 %row, %length")
        w.line("%base = add i64 %row.elements, %start")
        w.line("%more = add i64 %n, 1")
        w.line("%half = lshr i64 %more, 1")
        w.line("%row.pairs = mul i64 %row, %pairs")
        w.line("%start.pairs = lshr i64 %start, 1")
        w.line("%base.pairs = add i64 %row.pairs, %start.pairs")
        bases = {
            Where.ELEMENT: "%base",
            Where.PAIR: "%base.pairs",
            Where.BLOCK: "%t",
        }
        for loop in self.plan.loops:
            tag = f"t{loop.turn}.{loop.over.name.lower()}"
            if loop.over is Where.BLOCK:
                values = dict(self.once)
                for n in loop.nodes:
                    self.once[n] = self._compute(n, values, bases, "0")
                    values[n] = self.once[n]
                self._store(loop, values, bases, "0")
                continue
            self._run(
                loop, "0", "%half" if loop.over is Where.PAIR else "%n", bases, tag
            )
        w.line("br label %tile.end")
        w.label("tile.end")
        w.line("%t.next = add nuw nsw i64 %t, 1")
        w.line("%again = icmp slt i64 %t.next, %last")
        w.line("br i1 %again, label %tile, label %done")

    def _run(
        self, loop: Loop, first: str, last: str, bases: dict[Where, str], tag: str
    ) -> None:
        """Write one loop: from `first` to before `last`."""
        w = self.out
        self._fill_ends(loop)
        i, at = f"%{tag}.i", f"%{tag}.next"
        w.line(f"br label %{tag}.enter")
        w.label(f"{tag}.enter")
        w.line(f"%{tag}.some = icmp slt i64 {first}, {last}")
        w.line(f"br i1 %{tag}.some, label %{tag}.body, label %{tag}.end")
        w.label(f"{tag}.body")
        w.line(f"{i} = phi i64 [ {first}, %{tag}.enter ], [ {at}, %{tag}.body ]")
        reduced = [n for n in loop.nodes if n.op == "largest"]
        accs = {n: w.name() for n in reduced}
        found: dict[Node, str] = {}
        phis = len(w.lines)
        for _ in reduced:
            w.line("")  # known at the end of the loop
        values = dict(self.once)
        for n in loop.nodes:
            if n.op == "largest":
                x = self._value(n.args[0], values, bases, i)
                kind, _ = _held(n)
                if kind != type_of(n.dtype):
                    x = w.let(f"bitcast {type_of(n.dtype)} {x} to {kind}")
                found[n] = w.larger(accs[n], x, n.args[0])
            else:
                values[n] = self._compute(n, values, bases, i)
        self._store(loop, values, bases, i)
        w.line(f"{at} = add nuw nsw i64 {i}, 1")
        w.line(f"%{tag}.again = icmp slt i64 {at}, {last}")
        w.line(f"br i1 %{tag}.again, label %{tag}.body, label %{tag}.end")
        w.label(f"{tag}.end")
        for at, n in enumerate(reduced, phis):
            kind, zero = _held(n)
            ends = f"[ {zero}, %{tag}.enter ], [ {found[n]}, %{tag}.body ]"
            w.lines[at] = f"  {accs[n]} = phi {kind} {ends}"
            self.once[n] = w.let(f"phi {kind} {ends}")
        for n in reduced:
            kind, _ = _held(n)
            if kind != type_of(n.dtype):
                self.once[n] = w.let(
                    f"bitcast {kind} {self.once[n]} to {type_of(n.dtype)}"
                )

    def _fill_ends(self, loop: Loop) -> None:
        """Put after an odd end what is packed with the last number."""
        for n in loop.nodes:
            if n.op == "half" and n.data[0] == 1 and n.data[1] is not None:
                source = n.args[0]
                kind = kept_type(source.dtype)
                where = self.out.let(
                    f"getelementptr {kind}, ptr {self.buffers[source]}, i64 %n"
                )
                value = constant(n.data[1], source.dtype)
                self.out.line(f"store {kind} {value}, ptr {where}")

    # ---- values --------------------------------------------------------------

    def _shared(self, n: Node) -> str:
        """Return a value that there is once for the leaf."""
        if n.op == "literal":
            return constant(n.data, n.dtype)
        if n not in self.once:
            self.once[n] = self._load(self.arrays["in", n.data], n.dtype, "0")
        return self.once[n]

    def _load(self, pointer: str, dtype: str, i: str) -> str:
        kind = kept_type(dtype)
        where = self.out.let(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}")
        value = self.out.let(f"load {kind}, ptr {where}")
        return self.out.let(f"trunc i8 {value} to i1") if dtype == "bool" else value

    def _keep(self, value: str, pointer: str, dtype: str, i: str) -> None:
        kind = kept_type(dtype)
        if dtype == "bool":
            value = self.out.let(f"zext i1 {value} to i8")
        where = self.out.let(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}")
        self.out.line(f"store {kind} {value}, ptr {where}")

    def _index(self, over: Where, bases: dict[Where, str], i: str) -> str:
        base = bases[over]
        return (
            base
            if over is Where.BLOCK
            else (i if base == "0" else self.out.let(f"add i64 {base}, {i}"))
        )

    def _args(self, n: Node, values: dict, bases: dict, i: str) -> list[str]:
        """Return the operands; constants of vector operations from memory.

        An instruction reads a vector from memory as cheaply as from a register. LLVM
        would build it from the constant each time, with an instruction of its own.
        """
        args = []
        for a in n.args:
            apart = n.op in _WITH_MEMORY and n.where is not Where.BLOCK
            if (
                a.op == "literal"
                and apart
                and a.dtype in ("float32", "int32", "uint32")
            ):
                args.append(self._constant(a))
            else:
                args.append(self._value(a, values, bases, i))
        return args

    def _constant(self, n: Node) -> str:
        key = constant(n.data, n.dtype), type_of(n.dtype)
        return self.constants.setdefault(key, f"%c{len(self.constants)}")

    def _value(self, n: Node, values: dict, bases: dict, i: str) -> str:
        if n.where is Where.LEAF and n.op in ("literal", "input"):
            return self._shared(n)
        if n in values:
            return values[n]
        if n in self.once:
            return self.once[n]
        if n.op == "place":
            kind = type_of(n.dtype)
            parts = [p for p in (bases[n.where], i) if p != "0"]
            cut = [self.out.let(f"trunc i64 {p} to {kind}") for p in parts]
            over = n.where is Where.BLOCK or len(cut) == 1
            value = cut[0] if over else self.out.let(f"add {kind} {cut[0]}, {cut[1]}")
        elif n.op == "input":
            index = self._index(n.where, bases, i)
            value = self._load(self.arrays["in", n.data], n.dtype, index)
        else:
            value = self._load(self.buffers[n], n.dtype, i)
        values[n] = value
        return value

    def _compute(self, n: Node, values: dict, bases: dict, i: str) -> str:
        w = self.out
        if n.op == "half":
            twice = w.let(f"shl nuw nsw i64 {i}, 1")
            at = w.let(f"or disjoint i64 {twice}, {n.data[0]}")
            return self._load(self.buffers[n.args[0]], n.dtype, at)
        args = self._args(n, values, bases, i)
        if n.op == "unpack":
            twice = w.let(f"shl nuw nsw i64 {i}, 1")
            for place, value in enumerate(args):
                at = w.let(f"or disjoint i64 {twice}, {place}")
                self._keep(value, self.buffers[n], n.dtype, at)
            return "undef"
        result = w.operation(n, args)
        if n in self.buffers:
            self._keep(result, self.buffers[n], n.dtype, i)
        return result

    def _store(self, loop: Loop, values: dict, bases: dict, i: str) -> None:
        for number in loop.stores:
            n, over = self.program.outputs[number]
            value = self._value(n, values, bases, i)
            key = (
                ("in", self.aliases[number])
                if number in self.aliases
                else ("out", number)
            )
            self._keep(value, self.arrays[key], n.dtype, self._index(over, bases, i))


def _held(n: Node) -> tuple[str, str]:
    """Return the type in which a largest number is gathered, and its zero."""
    if n.args[0].unsigned:
        return f"i{bits(n.dtype)}", "0"
    return type_of(n.dtype), "0.0"


_WITH_MEMORY = {"add", "sub", "mul", "and", "xor", "or", "lt", "gt", "le", "ge"}


# of its own accord LLVM uses half of the width that processors with AVX-512 have
_ATTRIBUTES = ['attributes #0 = { nounwind "prefer-vector-width"="512" }']
