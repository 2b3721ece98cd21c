"""A docstring in pieces: paragraphs, indented blocks and sections. Pure Python."""

import re
from collections.abc import Iterator, Sequence

NAPOLEON = re.compile(r"(Args|Raises|Returns|Yields|Attributes):$")
FIELD = re.compile(
    r"(State|Bytes|Reference|References|Args|Raises|Returns|Departs from [^:]{1,40}"
    r"|Differs from [^:]{1,40}): (.*)",
    re.S,
)
EXAMPLE = re.compile(r"Examples?:$")


class Block:
    """Some lines of a docstring: text, an indented block, or a section."""

    def __init__(self, kind: str, lines: Sequence[str]) -> None:
        self.kind, self.lines = kind, list(lines)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def blocks(lines: Sequence[str]) -> list[Block]:
    """The docstring in pieces, in their order."""
    found: list[Block] = []
    for kind, piece in _pieces(lines):
        last = found[-1] if found else None
        if kind == "indented" and last is not None and last.kind == "section":
            last.lines += ["", *piece]
        elif kind == "text" and NAPOLEON.match(piece[0]):
            found.append(Block("section", piece))
        elif kind == "text" and FIELD.match("\n".join(piece)):
            found.append(Block("field", piece))
        else:
            found.append(Block(kind, piece))
    return found


def _pieces(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Paragraphs; an indented one after a header that ends in a colon joins it."""
    piece: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            starts = piece and not piece[0].startswith(" ")
            if starts and line.startswith("    ") and not _header(piece):
                yield "text", piece
                piece = []
            piece.append(line)
        elif piece:
            yield ("indented" if piece[0].startswith("    ") else "text"), piece
            piece = []


def _header(piece: Sequence[str]) -> bool:
    return bool(NAPOLEON.match(piece[0]) or FIELD.match(piece[0]))


def split(lines: Sequence[str]) -> tuple[list[Block], list[Block]]:
    """What is said before the first section, and the sections."""
    found = blocks(lines)
    first = [i for i, b in enumerate(found) if b.kind in ("section", "field")]
    cut = first[0] if first else len(found)
    return found[:cut], found[cut:]
