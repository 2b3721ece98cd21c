"""The equations of a docstring: indented blocks of plain text, as LaTeX.

A line may hold several columns, divided by three spaces or more, and may begin with a
condition that ends in a colon:

    first step:  v ← g²
    then:        v ← β v + (1 - β) g²      v̂ = v / (1 - βᵗ)

Pure Python, without Sphinx.
"""

import ast
import re
import unicodedata
from collections.abc import Sequence

from .formula import FUNCTIONS, latex, of_tokens
from .tokens import EquationError, Token, tokens

__all__ = ["EquationError", "block", "inline", "is_code"]


MARK = "\ue006"  # where the columns of `aligned` meet


def is_code(text: str) -> bool:
    """Whether an indented block is Python, and not an equation."""
    text = text.strip()
    if text.startswith((">>>", "$ ", "@", "import ", "from ", "def ", "class ")):
        return True
    if not text.isascii():
        return False
    try:
        tree = ast.parse(_dedented(text))
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.keyword):
            return True
        called = node.func if isinstance(node, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else ""
        if len(name) > 1 and name not in FUNCTIONS:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return True
    return False


def _dedented(text: str) -> str:
    lines = text.splitlines()
    indents = [len(n) - len(n.lstrip()) for n in lines[1:] if n.strip()]
    cut = min(indents, default=0)
    return "\n".join((lines[0], *(line[cut:] for line in lines[1:])))


def inline(text: str) -> str | None:
    """The LaTeX of a formula in running text, or None where it is no formula."""
    if text.isascii() or re.search(r"[A-Z][a-z]+\w*\(|[\w)]=|\"", text):
        return None
    try:
        return latex(text)
    except EquationError:
        return None


def block(text: str) -> str:
    """The LaTeX of an indented block.

    Raises:
        EquationError: a line of it cannot be read; the message has the line.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    lines = [line[indent:] for line in lines]
    starts, rows = _column_starts(lines), []
    for line in lines:
        try:
            rows.append(_row(line, starts))
        except EquationError as error:
            raise EquationError(f"{error}, in the line: {line.strip()}") from None
    if len(rows) == 1:
        label, cells = rows[0]
        if not label and all(MARK in cell for cell in cells):
            rows = [("", [cell]) for cell in cells]  # one below the other
        else:
            rows = [(label, ["\\qquad ".join(cells).replace(MARK, "")])]
    return _laid_out(rows)


def _segments(line: str) -> list[tuple[int, str, int]]:
    """The column of each piece, the piece, and how many spaces stand before it."""
    found, end = [], 0
    for match in re.finditer(r"\S+(?: \S+)*", line):
        marks = sum(map(bool, map(unicodedata.combining, line[: match.start()])))
        found.append((match.start() - marks, match[0], match.start() - end))
        end = match.end()
    return found


def _column_starts(lines: Sequence[str]) -> set[int]:
    """The places at which two lines begin a column; all of a line that is alone."""
    seen: dict[int, int] = {}
    for line in lines:
        for start, _, gap in _segments(line)[1:]:
            if gap >= 3 or start in seen:
                seen[start] = seen.get(start, 0) + 1
    return {start for start, count in seen.items() if count > 1 or len(lines) == 1}


def _row(line: str, starts: set[int]) -> tuple[str, list[str]]:
    """The condition in front, and the columns, each with MARK before its relation."""
    pieces = _segments(line)
    label = ""
    if pieces[0][1].endswith(":") and len(pieces) > 1:
        label = latex(pieces.pop(0)[1]).replace("{:}\\;", "{:}")
    columns: list[str] = []
    for place, (start, piece, gap) in enumerate(pieces):
        if place == 0 or start in starts:
            columns.append(_column(piece))
        else:
            columns[-1] += ("\\enspace " if gap < 3 else "\\qquad ") + latex(piece)
    return label, columns


def _column(piece: str) -> str:
    """A piece, with MARK before its first relation."""
    given = tokens(piece)
    cut = _relation(given)
    if cut is None:
        return of_tokens(given)
    return f"{of_tokens(given[:cut])} {MARK}{of_tokens(given[cut:])}"


def _relation(given: Sequence[Token]) -> int | None:
    """Where the first relation outside brackets stands, before any comma."""
    depth, bars = 0, False
    for place, token in enumerate(given):
        depth += (token.kind == "open") - (token.kind == "close")
        bars ^= token.kind == "bar"
        if depth or bars:
            continue
        if token.text in (",", ";", ":") or token.kind == "code":
            return None
        if token.kind == "relation":
            return place if token.text in "←=≈" else None
    return None


def _laid_out(rows: Sequence[tuple[str, list[str]]]) -> str:
    """One row as it is, several as an `aligned` with `&` before each relation."""
    if len(rows) == 1:
        label, (cell,) = rows[0]
        return (
            f"{label}\\quad {cell.replace(MARK, '')}"
            if label
            else cell.replace(MARK, "")
        )
    labelled = any(label for label, _ in rows)
    lines = []
    for label, cells in rows:
        cells = [cell if MARK in cell else f"{MARK}{cell}" for cell in cells]
        if labelled:
            cells = [f"{MARK}{label}", *cells]
        lines.append(" & ".join(cells))
    body = " \\\\[0.4em]\n".join(lines).replace(MARK, "&")
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"
