"""The LaTeX that `formula` writes, as MathML, which browsers show without a script.

Only what `formula` and `equations` write is known here, not LaTeX at large.
"""

import html
import re

from .tokens import GREEK, OPERATORS, RELATIONS

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:\.\d+)?|\s+|.", re.S)
_LETTERS = {latex: sign for sign, latex in GREEK.items()}
_SIGNS = {latex: sign for sign, latex in (RELATIONS | OPERATORS).items()}
_SIGNS |= {"\\{": "{", "\\}": "}", "\\langle": "⟨", "\\rangle": "⟩", "-": "−"}
_SIGNS |= {"\\bmod": "mod", "\\sum": "∑", "\\dots": "…", "\\nabla": "∇", "\\&": "&"}
_BARS = {"\\lVert": "‖", "\\rVert": "‖", "\\lvert": "|", "\\rvert": "|"}
_SPACES = {"\\,": 0.17, "\\;": 0.28, "\\ ": 0.33, "\\enspace": 0.5, "\\quad": 1}
_SPACES |= {"\\qquad": 2}
_ACCENTS = {"\\hat": "^", "\\bar": "¯", "\\tilde": "~"}
_WORDS = {
    f"\\{name}"
    for name in ("exp", "log", "sin", "cos", "tanh", "coth", "min", "max", "det", "dim")
}
_TEXT = {"\\text": "mtext", "\\mathtt": "mtext", "\\mathrm": "mi", "\\mathbf": "mi"}
_TEXT |= {"\\operatorname": "mi", "\\operatorname*": "mi"}
_STYLES = {
    "\\mathtt": ' style="font-family:monospace"',
    "\\mathbf": ' mathvariant="bold"',
}
_TABLE = re.compile(r"\\begin\{aligned\}(.*)\\end\{aligned\}", re.S)


def mathml(latex: str) -> str:
    """Return a displayed equation, or a table of equations."""
    found = _TABLE.fullmatch(latex.strip())
    if found is None:
        body = f"<mrow>{_Reader(latex).row()}</mrow>"
    else:
        rows = re.split(r"\\\\(?:\[[^\]]*\])?\s*\n", found[1].strip())
        body = "".join(map(_table_row, rows))
        body = f'<mtable displaystyle="true">{body}</mtable>'
    style = "display:block;text-align:left;margin:0.4em 0 0.4em 1em"
    made = f'<math display="block" style="{style}">{body}</math>'
    return f'<div style="overflow-x:auto">{made}</div>'


def _table_row(row: str) -> str:
    cells = []
    for i, cell in enumerate(re.split(r"(?<!\\)&", row)):
        side = "right" if i % 2 == 0 else "left"
        style = f"text-align:{side};padding:0.25em 0.15em"
        cells.append(f'<mtd style="{style}">{_Reader(cell).row()}</mtd>')
    return f"<mtr>{''.join(cells)}</mtr>"


def _mo(sign: str) -> str:
    return f"<mo>{html.escape(sign)}</mo>"


class _Reader:
    """Read tokens one after another."""

    def __init__(self, latex: str) -> None:
        self.tokens = _TOKEN.findall(latex)
        self.place = 0

    def peek(self) -> str:
        """Return the next token that is no space, "" at the end."""
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def row(self, stop: str = "") -> str:
        """Return everything up to a token, which is not taken."""
        found = []
        while (token := self.peek()) and token != stop:
            found.append(self.scripted())
        return "".join(found)

    def scripted(self) -> str:
        """Return one element with its index and power."""
        limits = self.peek() in ("\\min", "\\max", "\\operatorname*", "\\sum")
        base, below, above = self.element(), "", ""
        while self.peek() in ("_", "^") and self.peek():
            if self.take() == "_":
                below = self.argument()
            else:
                above = self.argument()
        if below and above:
            return f"<msubsup>{base}{below}{above}</msubsup>"
        if below:
            kind = "munder" if limits else "msub"
            return f"<{kind}>{base}{below}</{kind}>"
        return f"<msup>{base}{above}</msup>" if above else base

    def argument(self) -> str:
        """Return a group in braces, or one element, as one element."""
        if self.peek() != "{":
            return self.element()
        self.take()
        inner = self.row("}")
        self.take()
        return f"<mrow>{inner}</mrow>"

    def words(self) -> str:
        """Return a group in braces as it is written."""
        self.take()
        found, depth = [], 0
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            self.place += 1
            depth += (token == "{") - (token == "}")
            if depth < 0:
                break
            found.append(token[1:] if token in ("\\_", "\\&", "\\ ") else token)
        return html.escape("".join(found))

    def element(self) -> str:
        token = self.take()
        if token == "{":
            self.place -= 1
            return self.argument()
        if token == "\\frac":
            return f"<mfrac>{self.argument()}{self.argument()}</mfrac>"
        if token == "\\sqrt":
            return f"<msqrt>{self.argument()}</msqrt>"
        if token in _ACCENTS:
            mark = f'<mo stretchy="false">{_ACCENTS[token]}</mo>'
            return f'<mover accent="true">{self.argument()}{mark}</mover>'
        if token in _TEXT:
            kind = _TEXT[token]
            return f"<{kind}{_STYLES.get(token, '')}>{self.words()}</{kind}>"
        if token in ("\\left", "\\right"):
            return self.fence(token)
        if token == "\\mathopen":
            self.argument()
            return ""
        if token in _SPACES:
            return f'<mspace width="{_SPACES[token]}em"/>'
        if token in _BARS:
            return f'<mo stretchy="false">{_BARS[token]}</mo>'
        if token in _WORDS:
            return f"<mi>{token[1:]}</mi>"
        if token in _LETTERS:
            return f"<mi>{_LETTERS[token]}</mi>"
        if token == "\\prime":
            return _mo("′")
        if token == "\\infty":
            return "<mi>∞</mi>"
        if token in _SIGNS:
            return _mo(_SIGNS[token])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{html.escape(token)}</mi>"
        if token in "()[]":
            return f'<mo stretchy="false">{token}</mo>'
        if token.startswith("\\"):
            raise ValueError(f"mathml: the command {token} is not known")
        return _mo(token)

    def fence(self, token: str) -> str:
        sign = self.take()
        sign = _BARS.get(sign) or _SIGNS.get(sign, sign)
        form = "prefix" if token == "\\left" else "postfix"
        fence = f'fence="true" form="{form}" stretchy="true"'
        return f"<mo {fence}>{html.escape(sign)}</mo>"
