"""One formula in plain text, with words among it, as LaTeX.

    θ ← θ - α m̂ / (sqrt(v̂) + ε)

A product is written with spaces and binds more tightly than `/`, whose right side is
one factor; `a/b` without spaces stays on the line. A word directly before a bracket is
a function and must be one of FUNCTIONS; other words are text.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from .tokens import (
    ACCENTS,
    GREEK,
    OPERATORS,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    EquationError,
    Token,
    tokens,
)

FUNCTIONS = {
    name: f"\\{name}"
    for name in ("exp", "log", "sin", "cos", "tanh", "coth", "min", "max", "det", "dim")
} | {
    name: f"\\operatorname{{{name}}}"
    for name in (
        "sign", "mean", "clip", "diag", "sqrt", "RMS", "QR", "NewtonSchulz", "bits",
        "part", "level", "round", "tr", "svd", "norm", "std", "var", "any",
        "all", "floor", "rms", "sum", "change", "by", "triu",
    )
} | {"atan2": "\\mathrm{atan2}"}  # fmt: skip
"""What may stand directly before a bracket."""

LIMITS = {"min": "\\min", "max": "\\max", "mean": "\\operatorname*{mean}"}
"""What may run over something: `mean over columns of x`."""

BARE = ("log", "dim", "exp", "cos", "min", "max", "sign")
"""Functions that may stand before a symbol without brackets: `log β`."""

CLOSES = {"(": ")", "{": "}", "⟨": "⟩"}

FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4"}

TEXT = "\ue005"  # begins what is text

TALL = re.compile(r"\\(frac|sum|sqrt|max_|min_|operatorname\*)")


def latex(text: str) -> str:
    """The LaTeX of a formula.

    Raises:
        EquationError: it cannot be read as one.
    """
    return of_tokens(tokens(text))


def of_tokens(given: Sequence[Token]) -> str:
    parser = _Formula(given)
    made = parser.sequence(())
    if parser.here is not None:
        raise EquationError(f"`{parser.here.text}` has no bracket to close")
    return made


class _Fraction:
    def __init__(self, above: list[str], below: list[str]) -> None:
        self.above, self.below = above, below

    def __str__(self) -> str:
        return f"\\frac{{{_bare(self.above)}}}{{{_bare(self.below)}}}"


def _bare(factors: list[str]) -> str:
    """A product, whose brackets are left out if it is one bracket."""
    one = factors[0] if len(factors) == 1 else ""
    if one.startswith("\ue001") and one.endswith("\ue004"):
        return re.sub(r"^\ue001.*?\ue002|\ue003.*?\ue004$", "", one)
    return " ".join(factors)


def _clean(text: str) -> str:
    return re.sub("[\ue001-\ue005]", "", text)


class _Formula:
    def __init__(self, given: Sequence[Token]) -> None:
        self.given, self.place = given, 0

    @property
    def here(self) -> Token | None:
        return self.given[self.place] if self.place < len(self.given) else None

    def peek(self, steps: int = 1) -> Token:
        place = self.place + steps
        known = 0 <= place < len(self.given)
        return self.given[place] if known else Token("end", "")

    def sequence(self, stop: Iterable[str]) -> str:
        """Everything up to one of the given closing tokens, which is not taken."""
        stop = tuple(stop)
        out: list[str] = []
        product: list[str | _Fraction] = []

        def flush() -> None:
            out.extend(map(str, product))
            product.clear()

        while (token := self.here) is not None and token.text not in stop:
            if token.kind == "close":
                raise EquationError(f"`{token.text}` closes nothing")
            if token.kind == "slash":
                self.divide(product)
            elif token.kind in ("relation", "operator"):
                flush()
                out.append(self.sign(token))
            elif token.kind == "punctuation":
                flush()
                out.append(self.punctuation(token))
            elif self.is_text(token):
                flush()
                out.append(self.words())
            else:
                product.append(self.factor())
        flush()
        return _clean(_spaced(out))

    def divide(self, product: list[str | _Fraction]) -> None:
        slash = self.here
        assert slash is not None
        self.place += 1
        if not product or self.here is None:
            raise EquationError("`/` must stand between two operands")
        if not (slash.before or slash.after):
            product.append(f"{product.pop()} / {self.factor()}")
            return
        below = self.factor()
        if len(product) == 1 and isinstance(product[0], _Fraction):
            product[0].below.append(below)
            return
        above = [str(factor) for factor in product]
        product[:] = [_Fraction(above, [below])]

    def sign(self, token: Token) -> str:
        self.place += 1
        if token.text == "=" and not (token.before and token.after):
            raise EquationError("`=` without spaces looks like code")
        return (RELATIONS | OPERATORS)[token.text]

    def punctuation(self, token: Token) -> str:
        self.place += 1
        if token.text == ".":
            if not token.after or (not token.before and self.here is not None):
                raise EquationError("a dot inside a formula looks like code")
            return "."
        if token.text == "&":
            return f"{TEXT}\\text{{\\&}}"
        return {",": ",\\;", ";": ";\\;", ":": "{:}\\;"}[token.text]

    def is_text(self, token: Token) -> bool:
        if token.kind == "code":
            return True
        follows = self.peek()
        if token.kind == "symbol":  # the article
            word = follows.kind == "word" and self.peek(2).text != "("
            return token.text == "a" and token.after and word
        if token.kind != "word":
            return False
        if follows.text == "(" and not token.after:
            return False
        if token.text in LIMITS and follows.text == "over" and self.limit() is not None:
            return False
        operand = follows.kind in ("symbol", "bar", "number") and token.after
        if token.text in BARE and operand:
            return False
        last = self.given[self.place - 1].kind if self.place else "start"
        return "slash" not in (follows.kind, last)

    def words(self) -> str:
        """A run of words, as text."""
        found = []
        while (token := self.here) is not None and self.is_text(token):
            self.place += 1
            if token.kind == "code":
                name = token.text.strip("`").replace("_", "\\_")
                found.append(f"}}\\mathtt{{{name}}}\\ \\text{{")
                continue
            if self.here is not None and self.here.text == "_" and not token.after:
                raise EquationError(f"`{token.text}_` looks like code")
            if token.text == "mod":
                return "\\bmod"
            found.append(unicodedata.normalize("NFC", token.text))
        return TEXT + f"\\text{{{' '.join(found)}}}".replace("\\text{}", "")

    def limit(self) -> int | None:
        """How many tokens stand between `over` and `of`."""
        depth = 0
        for steps, token in enumerate(self.given[self.place + 2 :]):
            depth += (token.kind == "open") - (token.kind == "close")
            if depth < 0 or token.text in (",", ";"):
                return None
            if token.text == "of" and depth == 0:
                return steps
        return None

    def factor(self) -> str:
        token = self.here
        if token is None:
            raise EquationError("something is missing at the end")
        if token.kind == "word":
            made = self.function(token)
        elif token.kind == "symbol":
            self.place += 1
            made = self.scripts(_symbol(token.text))
            follows = self.here
            if follows is not None and follows.text == "(" and not follows.before:
                made += self.bracket()
        elif token.kind == "name":  # of a slot or a schedule, as an operand
            self.place += 1
            shown = token.text.strip("⟦⟧").replace("_", "\\_")
            made = self.scripts(f"\\mathtt{{{shown}}}")
            if self.here is not None and self.here.text == "(" and not self.here.before:
                made += self.bracket()
        elif token.kind == "number":
            self.place += 1
            opens = self.peek(0).text == "("
            if token.text == "1" and opens and not token.after:
                made = f"\\mathbf{{1}}{self.bracket()}"
            else:
                made = token.text.replace(",", "{,}")
        elif token.kind == "open":
            made = self.bracket()
        elif token.kind == "bar":
            made = self.bars(token.text)
        elif token.kind == "special":
            made = self.special(token.text)
        elif token.kind == "operator" and token.text in "-−":
            self.place += 1
            return f"-{self.factor()}"
        else:
            raise EquationError(f"`{token.text}` stands where an operand must")
        return self.scripts(made)

    def function(self, token: Token) -> str:
        name = token.text
        if name in LIMITS and self.peek().text == "over":
            steps = self.limit()
            if steps is None:
                raise EquationError(f"`{name} over` needs `of`")
            start = self.place + 2
            below = of_tokens(self.given[start : start + steps])
            self.place = start + steps + 1
            return f"{LIMITS[name]}_{{{below.strip()}}} {self.factor()}"
        self.place += 1
        if self.peek(0).text == "(" and not token.after:
            if name not in FUNCTIONS:
                raise EquationError(
                    f"`{name}(` is no known function: is it code? If not, add it to "
                    "FUNCTIONS in adamx/descriptions/formula.py"
                )
            if name == "sqrt":
                return f"\\sqrt{{{self.inside('(')}}}"
            return FUNCTIONS[name] + self.bracket()
        if name in BARE and self.peek(0).kind in ("symbol", "bar", "number"):
            return f"{FUNCTIONS[name]} {self.factor()}"
        return f"\\text{{{name}}}"

    def special(self, text: str) -> str:
        self.place += 1
        if text == "∇":
            return f"\\nabla {self.factor()}"
        if text == "√":
            return f"\\sqrt{{{_bare([self.factor()])}}}"
        if text == "Σ":
            made = self.scripts("\\sum")
            while (token := self.here) is not None:
                starts = token.kind in ("symbol", "number", "open", "bar", "special")
                if not starts or self.is_text(token):
                    break
                made += f" {self.factor()}"
            return made
        return {"∞": "\\infty", "…": "\\dots"}.get(text) or FRACTIONS[text]

    def inside(self, opening: str) -> str:
        """What stands in a bracket, which is taken with it."""
        self.place += 1
        made = self.sequence((CLOSES[opening],))
        if self.here is None:
            raise EquationError(f"`{opening}` is not closed")
        self.place += 1
        return made

    def bracket(self) -> str:
        opening = self.peek(0).text
        made = self.inside(opening)
        left, right = {"(": ("(", ")"), "⟨": ("\\langle ", "\\rangle ")}.get(
            opening, ("\\{", "\\}")
        )
        if TALL.search(made):
            left, right = f"\\left{left}", f"\\right{right}"
            left = f"\\mathopen{{}}{left}"
        return f"\ue001{left}\ue002{made.strip()}\ue003{right}\ue004"

    def bars(self, bar: str) -> str:
        self.place += 1
        made = self.sequence((bar,)).strip()
        if self.here is None:
            raise EquationError(f"`{bar}` is not closed")
        self.place += 1
        name = "Vert" if bar == "‖" else "vert"
        big = ("\\left", "\\right") if TALL.search(made) else ("", "")
        return f"{big[0]}\\l{name} {made} {big[1]}\\r{name} "

    def scripts(self, base: str) -> str:
        """The base with its indices, powers, primes and stars."""
        below, above = [], []
        while (token := self.here) is not None and not token.before:
            if token.kind == "sub":
                below.append("".join(SUBSCRIPTS[c] for c in token.text))
            elif token.kind == "sup":
                above.append("".join(SUPERSCRIPTS[c] for c in token.text))
            elif token.kind == "index":
                below.append(token.text.replace(" ", "\\,"))
            elif token.text == "'":
                above.append("\\prime")
            elif token.text == "*":
                above.append("*")
            elif token.text == "_" and not token.after:
                self.place += 1
                below.append(self.script())
                continue
            elif token.kind == "power" and not token.after:
                self.place += 1
                above.append(self.script())
                continue
            else:
                break
            self.place += 1
        if above and base.startswith("\\operatorname"):
            base = f"{{{base}}}"
        lower = f"_{{{' '.join(below)}}}" if below else ""
        upper = f"^{{{' '.join(above)}}}" if above else ""
        return f"{base}{lower}{upper}"

    def script(self) -> str:
        """What stands after `_` or `^`, and is taken."""
        token = self.peek(0)
        if token.kind == "open":
            return self.inside(token.text)
        self.place += 1
        if token.kind == "operator" and token.text in "-−":
            return f"-{self.script()}"
        if token.kind == "number":
            return token.text
        if token.kind == "word":
            return f"\\text{{{token.text}}}"
        if token.kind == "symbol":
            return _symbol(token.text)
        if token.kind == "special" and token.text in "∞¼½¾":
            return FRACTIONS.get(token.text, "\\infty")
        raise EquationError(f"`{token.text}` cannot be an index or a power")


def _symbol(text: str) -> str:
    made = GREEK.get(text[0], text[0])
    for accent in text[1:]:
        made = f"{ACCENTS[accent]}{{{made}}}"
    return made


def _spaced(parts: list[str]) -> str:
    """The parts in a row, with a space of the line between text and operands."""
    made, last = "", ""
    for part in parts:
        text, before = part.startswith(TEXT), last.startswith(TEXT)
        signs = {*RELATIONS.values(), *OPERATORS.values()}
        apart = last and (text or before) and not {part, last} & signs
        if apart and part[:1] not in (",", ";", ".", "{") and last[-2:] != "\\;":
            made += "\\ "
        made += f" {part.removeprefix(TEXT)}"
        last = part
    return re.sub(r"(\\ )+(?=\\ )|^ *\\ +(?=\\mathtt)|\\ *$", "", made).strip()
