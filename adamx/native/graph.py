"""What is computed for one element, one block, or once: a graph of operations.

A leaf is read as rows of blocks (`Rows`), or as one row without blocks. Of each value
there is one for every element, one for every pair of elements (two numbers packed in a
byte), one for every block, or one for the leaf: that is where it is computed.
"""

import dataclasses
import enum
import math
from typing import Any

from .ranges import bounds, never_negative


class Unfit(Exception):
    """A leaf function is no single pass over memory; the message says why."""


class Where(enum.IntEnum):
    """How many values there are of a kind."""

    LEAF = 0
    BLOCK = 1
    PAIR = 2
    ELEMENT = 3


@dataclasses.dataclass(frozen=True)
class Rows:
    """A leaf as `count` rows of `length` elements in blocks; `block` 0 for no blocks.

    Only `block` is part of the machine code; the others are given to it.
    """

    count: int
    length: int
    block: int = 0

    @property
    def blocks(self) -> int:
        """The number of blocks of a row; of elements, if there are no blocks."""
        return -(-self.length // self.block) if self.block else self.length

    @property
    def pairs(self) -> int:
        return -(-self.length // 2)

    def where(self, shape: tuple[int, ...]) -> Where:
        """Return of what an array of this shape holds one value each."""
        if not shape:
            return Where.LEAF
        total = math.prod(shape)
        if total == self.count * self.length:
            return Where.ELEMENT
        if self.block:
            if self.blocks == self.pairs or self.pairs == self.length:
                raise Unfit("its rows are too short to tell its blocks apart")
            if total == self.count * self.blocks:
                return Where.BLOCK
            if total == self.count * self.pairs:
                return Where.PAIR
            padded = self.blocks * self.block, 2 * self.pairs
            if total in [self.count * each for each in padded]:
                return Where.ELEMENT
        raise Unfit(f"an array of shape {shape} is neither the leaf nor its blocks")

    def is_padded(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array of elements has some beyond the end of each row."""
        return math.prod(shape) != self.count * self.length


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operation, of values that other nodes compute.

    Attributes:
        number: its place in the graph; the nodes it uses come before it.
        op: "input" (data: the operand's number), "literal" (data: the number),
            "place" (the index in row-major order), "largest" (of a block), "unpack"
            (two of each pair), "half" (data: 0 or 1, and what stands after an odd
            end), or the name of a primitive.
        args: the nodes it uses.
        dtype: of the value.
        where: how many values there are.
        data: see `op`.
        bounds: the least and the largest value, or None if it may be NaN or any float.
        unsigned: whether the sign bit of a float is never set, NaN included.
    """

    number: int
    op: str
    args: tuple["Node", ...]
    dtype: str
    where: Where
    data: Any = None
    bounds: tuple[float, float] | None = None
    unsigned: bool = False


class Graph:
    """Nodes, each once: an operation on the same nodes is the same node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Any, Node] = {}

    def add(
        self,
        op: str,
        args: tuple[Node, ...],
        dtype: str,
        where: Where | None = None,
        data: Any = None,
    ) -> Node:
        """Return the node of an operation; where its operands are, if not given."""
        if where is None:
            where = _joined(args)
        numbers = tuple(a.number for a in args)
        key = op, numbers, dtype, where, _exact(data)
        found = self._known.get(key)
        if found is None:
            known = bounds(op, args, dtype, data)
            free = never_negative(op, args, data)
            number = len(self.nodes)
            found = Node(number, op, args, dtype, where, data, known, free)
            self._known[key] = found
            self.nodes.append(found)
        return found

    def literal(self, value: Any, dtype: str) -> Node:
        value = bool(value) if dtype == "bool" else value
        number = float(value) if "float" in dtype else int(value)
        return self.add("literal", (), dtype, Where.LEAF, number)


def _exact(data: Any) -> Any:
    """Return what tells numbers apart that compare equal: -0.0 and 0.0, NaN."""
    return data.hex() if isinstance(data, float) else data


def _joined(args: tuple[Node, ...]) -> Where:
    found = {a.where for a in args} - {Where.LEAF}
    if len(found) > 1:
        found -= {Where.BLOCK}
    if len(found) > 1:
        raise Unfit("it computes with pairs and elements at once")
    return found.pop() if found else Where.LEAF
