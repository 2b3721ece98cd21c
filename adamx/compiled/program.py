"""Reads an optimized program of XLA: its kernels, products, bytes and collectives.

A kernel is an instruction of the entry computation, or of a loop or call in it, that is
neither bookkeeping (tuples, bitcasts, parameters) nor the end of an asynchronous one.
It reads its operands and writes its results. An operand that a fusion only slices, or
updates in place, counts as the slice. An array that lies in a TPU's vector memory
(S(1)) costs nothing, its copy from or to the main memory does.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

FREE = {
    *("parameter", "constant", "iota", "tuple", "get-tuple-element", "bitcast"),
    *("partition-id", "replica-id", "after-all", "optimization-barrier"),
    "add-dependency",
}
COLLECTIVES = {
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
    *("all-reduce-start", "all-gather-start", "collective-permute-start"),
    *("collective-permute", "ragged-all-to-all", "collective-broadcast"),
}
SLICES = {"slice", "dynamic-slice", "gather"}
_ELEMENT = re.compile(r"(pred|bf16|[a-z]+\d+\w*)\[([\d,]*)\](\{[^}]*\})?")
_CALLED = re.compile(r"(?:calls|to_apply|body|branch_computations)=\{?(%?[\w.\-]+)")


@dataclasses.dataclass
class Counts:
    """What a step does; `*_run` count the turns of loops, the others do not."""

    kernels: float = 0
    kernels_run: float = 0
    products: float = 0
    products_run: float = 0
    bytes: float = 0
    collectives: float = 0


@dataclasses.dataclass
class Instruction:
    name: str
    shape: str
    kind: str
    operands: list[str]
    rest: str
    number: str = ""  # of a parameter; of a constant its value

    @property
    def called(self) -> list[str]:
        listed = re.search(r"branch_computations=\{([^}]*)\}", self.rest)
        names = listed[1].split(",") if listed else _CALLED.findall(self.rest)
        return [name.strip().removeprefix("%") for name in names]


def size(shape: str, everywhere: bool = False) -> int:
    """The bytes of the arrays of a shape that lie in the main memory, or anywhere."""
    total = 0
    for kind, dims, layout in _ELEMENT.findall(shape):
        if "S(1)" in layout and not everywhere:
            continue
        bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
        count = math.prod(int(d) for d in dims.split(",") if d)
        total += -(-count * bits // 8)
    return total


def _balanced(text: str) -> int:
    """The index behind the parenthesis that closes the first one."""
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i + 1
    return len(text)


def _parsed(line: str) -> Instruction | None:
    head = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = ", line)
    if not head:
        return None
    text = line[head.end() :]
    end = _balanced(text) if text.startswith("(") else text.index(" ")
    shape, text = text[:end], text[end:].lstrip()
    kind = re.match(r"[\w\-]+", text)
    if not kind:
        return None
    text = text[kind.end() :]
    end = _balanced(text)
    operands = re.findall(r"%([\w.\-]+)", text[:end])
    number = text[1 : end - 1] if kind[0] in ("parameter", "constant") else ""
    return Instruction(head[1], shape, kind[0], operands, text[end:], number)


class Program:
    """The computations of an optimized module, by name."""

    def __init__(self, text: str) -> None:
        self.blocks: dict[str, list[Instruction]] = {}
        self.entry = name = ""
        for line in text.splitlines():
            head = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line)
            if head and not line.startswith((" ", "HloModule")):
                name = head[2]
                self.blocks[name] = []
                self.entry = name if head[1] else self.entry
            elif name and (instruction := _parsed(line)):
                self.blocks[name].append(instruction)

    def counts(self) -> Counts:
        found = Counts()
        self._walk(self.entry, 1, found)
        return found

    def _walk(self, block: str, times: int, found: Counts) -> None:
        shapes = {i.name: i.shape for i in self.blocks.get(block, [])}
        for one in self.blocks.get(block, []):
            if one.kind == "while":
                body = re.search(r"body=%?([\w.\-]+)", one.rest)
                self._walk(body[1] if body else "", times * self._turns(one), found)
            elif one.kind == "call":
                for called in one.called:
                    self._walk(called, times, found)
            elif one.kind == "conditional":
                self._walk(self._longest(one.called), times, found)
            elif one.kind not in FREE and not one.kind.endswith("-done"):
                products = self.products(one)
                found.kernels += 1
                found.kernels_run += times
                found.products += products
                found.products_run += products * times
                found.collectives += one.kind in COLLECTIVES
                found.bytes += self.moved(one, shapes) * times

    def _turns(self, loop: Instruction) -> int:
        """How often a loop runs: as XLA says, or its counter's end; 1 if unknown."""
        known = re.search(r'known_trip_count":\{"n":"(\d+)', loop.rest)
        if known:
            return int(known[1])
        condition = re.search(r"condition=%?([\w.\-]+)", loop.rest)
        inside = self.blocks.get(condition[1] if condition else "", [])
        ends = [i.number for i in inside if i.kind == "constant"]
        counted = any("direction=LT" in i.rest for i in inside)
        return int(ends[0]) if counted and len(ends) == 1 and ends[0].isdigit() else 1

    def _longest(self, branches: list[str]) -> str:
        def kernels(branch: str) -> float:
            found = Counts()
            self._walk(branch, 1, found)
            return found.kernels_run

        return max(branches, key=kernels)

    def products(self, one: Instruction) -> int:
        """The products of matrices of an instruction and of what it calls."""
        if one.kind == "custom-call":
            target = re.search(r'custom_call_target="([^"]*)"', one.rest)
            return int(bool(target and re.search(r"matmul|gemm|dot", target[1], re.I)))
        own = one.kind in ("dot", "convolution")
        inside = (i for c in one.called for i in self.blocks.get(c, []))
        return own + sum(self.products(i) for i in inside)

    def moved(self, one: Instruction, shapes: dict[str, str]) -> int:
        """The bytes that an instruction reads and writes."""
        if one.kind.endswith("-start") and one.kind not in COLLECTIVES:
            source = size(shapes.get(one.operands[0], "")) if one.operands else 0
            results = [found[0] for found in _ELEMENT.finditer(one.shape)]
            if one.kind in ("slice-start", "dynamic-slice-start"):
                piece = results[len(one.operands)]  # behind the operands
                return min(source, size(piece, everywhere=True)) + size(piece)
            return source + (size(results[0]) if results else 0)
        read = dict(enumerate(size(shapes.get(name, "")) for name in one.operands))
        written = size(one.shape)
        if one.kind in SLICES:
            return 2 * written
        if one.kind == "dynamic-update-slice":
            return 2 * read[1]
        if one.kind == "fusion" and one.called:
            read, written = self._of_fusion(one, read, written)
        return sum(read.values()) + written

    def _of_fusion(
        self, one: Instruction, read: dict[int, int], written: int
    ) -> tuple[dict[int, int], int]:
        """Operands that are only sliced, and results that are updated in place."""
        inside = self.blocks.get(one.called[0], [])
        shapes = {i.name: i.shape for i in inside}
        users: dict[str, list[Instruction]] = {}
        for i in inside:
            for operand in i.operands:
                users.setdefault(operand, []).append(i)
        for i in inside:
            if i.kind != "parameter":
                continue
            index = int(i.number)
            used = list(_beyond_bitcasts(i.name, users))
            if not used or index not in read:
                continue
            if all(u.kind in SLICES for u in used):
                read[index] = min(read[index], sum(size(u.shape) for u in used))
            elif all(u.kind == "dynamic-update-slice" for u in used):
                update = sum(size(shapes.get(u.operands[1], "")) for u in used)
                written -= read[index] - update
                read[index] = 0
        return read, max(written, 0)


def _beyond_bitcasts(
    name: str, users: dict[str, list[Instruction]]
) -> Iterator[Instruction]:
    for user in users.get(name, []):
        if user.kind == "bitcast":
            yield from _beyond_bitcasts(user.name, users)
        else:
            yield user
