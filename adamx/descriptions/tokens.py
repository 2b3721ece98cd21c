"""The tokens of an equation in plain text: symbols, words, numbers and signs."""

import re
import unicodedata
from typing import NamedTuple


class EquationError(ValueError):
    """An equation that cannot be translated; the message says what and where."""


class Token(NamedTuple):
    """A piece of an equation, and whether a space stands before and after it."""

    kind: str
    text: str
    before: bool = True
    after: bool = True


GREEK = {
    "α": "\\alpha", "β": "\\beta", "γ": "\\gamma", "δ": "\\delta",
    "ε": "\\varepsilon", "ζ": "\\zeta", "η": "\\eta", "θ": "\\theta",
    "κ": "\\kappa", "λ": "\\lambda", "μ": "\\mu", "ν": "\\nu", "ξ": "\\xi",
    "π": "\\pi", "ρ": "\\rho", "σ": "\\sigma", "τ": "\\tau", "φ": "\\varphi",
    "χ": "\\chi", "ψ": "\\psi", "ω": "\\omega", "Γ": "\\Gamma", "Δ": "\\Delta",
    "Θ": "\\Theta", "Λ": "\\Lambda", "Ξ": "\\Xi", "Π": "\\Pi", "Φ": "\\Phi",
    "Ψ": "\\Psi", "Ω": "\\Omega", "ℓ": "\\ell",
}  # fmt: skip

ACCENTS = {"\u0302": "\\hat", "\u0304": "\\bar", "\u0303": "\\tilde"}

SUPERSCRIPTS = dict(
    zip(
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵃᵇᶜᵈᵉᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ",
        "0123456789+-()abcdeghijklmnoprstuvwxyzT",
        strict=True,
    )
)

SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙₜₓ", "0123456789+-ijkntx", strict=True))

RELATIONS = {
    "←": "\\leftarrow", "→": "\\rightarrow", "=": "=", "≠": "\\neq", "<": "<",
    ">": ">", "≤": "\\le", "≥": "\\ge", "≈": "\\approx", "~": "\\sim",
    "∋": "\\ni", "∈": "\\in", "∝": "\\propto",
}  # fmt: skip

OPERATORS = {
    "+": "+", "-": "-", "−": "-", "±": "\\pm", "·": "\\cdot", "×": "\\times",
    "⊙": "\\odot", "∘": "\\circ",
}  # fmt: skip

_LETTER = f"[A-Za-z{''.join(GREEK)}]"

_PATTERN = re.compile(
    "|".join(
        (
            r"(?P<code>`[^`]+`)",
            r"(?P<name>⟦[^⟧]+⟧)",
            r"(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)",
            r"(?P<word>[A-Za-z][A-Za-z]+\d*(?:[-'][A-Za-z]+)*)",
            f"(?P<symbol>{_LETTER}[{''.join(ACCENTS)}]*)",
            f"(?P<sup>[{re.escape(''.join(SUPERSCRIPTS))}]+)",
            f"(?P<sub>[{re.escape(''.join(SUBSCRIPTS))}]+)",
            r"(?P<index>\[[:,\sA-Za-z0-9]*\])",
            r"(?P<power>\*\*|\^)",
            f"(?P<relation>[{''.join(RELATIONS)}])",
            f"(?P<operator>[{re.escape(''.join(OPERATORS))}])",
            r"(?P<slash>/)",
            r"(?P<open>[({⟨])",
            r"(?P<close>[)}⟩])",
            r"(?P<bar>[|‖])",
            r"(?P<punctuation>[,;:&.])",
            r"(?P<mark>['*_])",
            r"(?P<special>[Σ∇√∞…¼½¾])",
        )
    )
)


def tokens(text: str) -> list[Token]:
    """The tokens of one line or cell.

    Raises:
        EquationError: there is a character that no equation has.
    """
    text = unicodedata.normalize("NFD", text.replace("≠", "\ue000"))
    text = text.replace("\ue000", "≠")
    found, place = [], 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        match = _PATTERN.match(text, place)
        if match is None:
            raise EquationError(f"the character {text[place]!r} in {text!r}")
        before = place == 0 or text[place - 1].isspace()
        place = match.end()
        after = place == len(text) or text[place].isspace()
        found.append(Token(str(match.lastgroup), match[0], before, after))
    return found
