"""The arrays that one call of native loops is given, and what it writes in place."""

from collections.abc import Sequence
from typing import Any

from .kernel import Kernel


class Operands:
    """Arrays of a call: one that is read is passed once, one that is written each time.

    Attributes:
        arrays: the operands so far.
        aliases: which of them have the memory of which result.
    """

    def __init__(self, arrays: Sequence[Any] = ()) -> None:
        self.arrays = list(arrays)
        self.aliases: dict[int, int] = {}
        self._read: dict[int, int] = {}  # by identity

    def add(
        self, kernel: Kernel, inputs: Sequence[Any], aliases: dict[int, int], first: int
    ) -> list[tuple[str, int]]:
        """Add what a loop reads and writes in place; return where each array is.

        Args:
            kernel: the loop, with its arrays in order.
            inputs: what it is given.
            aliases: the input whose memory each of its results has.
            first: the number of results before its own.
        """
        written: dict[int, int] = {}  # by input
        own: dict[int, int] = {}  # and by identity: this loop may read it there
        for out, i in aliases.items():
            # an operand of its own: another leaf, or slot, may be the same array
            written[i] = len(self.arrays)
            own.setdefault(id(inputs[i]), len(self.arrays))
            self.aliases[len(self.arrays)] = first + out
            self.arrays.append(inputs[i])
        places = []
        for kind, i in kernel.arrays:
            if kind == "out":
                places.append((kind, first + i))
                continue
            known = id(inputs[i])
            number = written.get(i, own.get(known, self._read.get(known)))
            if number is None:
                number = self._read[known] = len(self.arrays)
                self.arrays.append(inputs[i])
            places.append((kind, number))
        return places
