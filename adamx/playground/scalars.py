"""A program of operations on single numbers, from which JavaScript is written."""

from typing import Any, NamedTuple

import numpy as np


class Value(NamedTuple):
    """The result of the operation of this number."""

    place: int


class Input(NamedTuple):
    """A number that is given: `h[2]` is the third of the argument h."""

    argument: str
    place: int


class Operation(NamedTuple):
    """One operation; operands are values, inputs, and Python numbers."""

    name: str
    operands: tuple[Any, ...]


class Program:
    """Operations in order, each once, and what they give: groups of operands."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.outputs: tuple[tuple[Any, ...], ...] = ()
        self._known: dict[Any, Value] = {}

    def emit(self, name: str, *operands: Any) -> Value:
        """Return the value of an operation, of the earlier one if there is one."""
        operands = tuple(map(_plain, operands))
        # 1, 1.0 and True are equal in Python, and 0.0 and -0.0
        key = name, tuple((type(x).__name__, str(x)) for x in operands)
        if key not in self._known:
            self._known[key] = Value(len(self.operations))
            self.operations.append(Operation(name, operands))
        return self._known[key]

    def finish(self, *outputs: Any) -> "Program":
        """Set what it gives, and leave out what is not needed for it."""
        self.outputs = tuple(tuple(map(_plain, group)) for group in outputs)
        wanted: set[int] = set()
        stack = [x for group in self.outputs for x in group]
        while stack:
            x = stack.pop()
            if isinstance(x, Value) and x.place not in wanted:
                wanted.add(x.place)
                stack += self.operations[x.place].operands
        kept = sorted(wanted)
        renamed = {old: Value(new) for new, old in enumerate(kept)}

        def new(x: Any) -> Any:
            return renamed[x.place] if isinstance(x, Value) else x

        olds = (self.operations[old] for old in kept)
        self.operations = [Operation(o.name, tuple(map(new, o.operands))) for o in olds]
        self.outputs = tuple(tuple(map(new, group)) for group in self.outputs)
        return self


def inputs(argument: str, shape: tuple[int, ...], start: int = 0) -> np.ndarray:
    """Return an array of the numbers of an argument, from the place `start` on."""
    made = np.empty(shape, object)
    for i, at in enumerate(np.ndindex(shape)):
        made[at] = Input(argument, start + i)
    return made


def _plain(x: Any) -> Any:
    return x.item() if isinstance(x, np.generic) else x
