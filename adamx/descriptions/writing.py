"""How parts write their equations, in the plain text that `equations` makes LaTeX of.

A part is given the symbol of the update, writes lines, and returns what it makes of it
as an expression. A chain does so with its parts in order. Numbers are filled in.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from ..engine.chain import Chain
from ..engine.hyperparams import Schedule, hyper_fields, is_constant, public_name
from ..engine.masks import Mask, Not
from ..engine.rule import Rule
from ..engine.value import Value, is_array, show

Said = Callable[[Any, "Writer", str], str]
"""Of a part: `(part, writer, update) -> expression`."""

SAID: dict[type, Said] = {}
"""What each class of parts says; the modules `*_said.py` fill it."""

LETTERS = {
    "mu": "m", "nu": "v", "momentum": "M", "mu_slow": "m_slow", "difference": "d",
    "sum_of_squares": "s", "gradient_before": "g'", "squared_steps": "s",
    "orthogonal_nu": "V", "neuron_nu": "v_row", "hessian": "h", "start": "θ₀",
    "magnitude_mu": "m_γ", "magnitude_nu": "v_γ", "magnitude": "γ",
    "direction_norm": "ℓ", "instability": "S", "left": "L", "right": "R",
    "left_basis": "Q_L", "right_basis": "Q_R", "left_factor": "Q_L",
    "right_factor": "Q_R", "left_root": "P_L", "right_root": "P_R",
    "left_values": "Λ_L", "right_values": "Λ_R",
    **{f"axis_{i}{name}": f"{letter}_{i}" for i in range(2, 6) for name, letter in
       {"": "H", "_basis": "Q", "_root": "P", "_values": "Λ"}.items()},
    "projection": "P", "length": "ℓ",
    "distance": "r̄", "sum_of_square_norms": "G", "square_distance": "q",
    "weighted_sum": "G", "step_size": "Δ", "step_before": "u'", "radius": "R",
    "learning_rate_max": "η_max", "weight_sum": "W", "waited": "τ", "slow": "φ",
    "z": "z", "x": "x", "s": "s", "r": "r", "d": "d", "b1_weight": "w₁",
    "b2_weight": "w₂", "average": "θ̄", "rate": "s", "statistics_weight": "w",
    "cover": "μ", "since_restart": "j", "row_steps": "k", "row_until": "k",
    "slow_momentum": "B",
}  # fmt: skip
"""The symbols of the slots that adamx has names for; others stand as their names."""

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Line(NamedTuple):
    """One equation, and the conditions under which it holds, the outermost first."""

    under: tuple[str, ...]
    text: str


class Unsaid(NamedTuple):
    """A part that has no equation, and what else is known of it."""

    part: Any
    doc: str

    def __str__(self) -> str:
        return f"{self.part!r} says no equation. {self.doc}".rstrip()


class Writer:
    """Collect the lines of a transformation, and what has no equation.

    Attributes:
        lines: the equations, in order.
        unsaid: the parts that have none.
        notes: sentences on what is no equation.
        weights: what each moment is divided by to correct its bias, by its slot.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.unsaid: list[Unsaid] = []
        self.notes: list[str] = []
        self.under: tuple[str, ...] = ()
        self.prefix = ""  # of the slots of the parts being written
        self.slot_names: dict[str, str] = {}
        self.weights: dict[str, str] = {}

    def line(self, text: str) -> None:
        """Add an equation."""
        # two numbers beside each other are a product
        text = re.sub(r"(?<=[\d⁰¹²³⁴-⁹]) (?=\d)", " · ", text)
        self.lines.append(Line(self.under, text))

    def note(self, sentence: str) -> None:
        """Add a sentence on what is no equation."""
        self.notes.append(sentence)

    def assign(self, expression: str) -> str:
        """Write the new update, `u`, unless it is the symbol of something."""
        if expression == "u":
            return expression
        expression = bare(expression)
        again = re.search(r"(?<![\w⟦])u(?![\w'])", expression)
        self.line(f"u {'←' if again else '='} {expression}")
        return "u"

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Put what is written inside under a condition."""
        before, self.under = self.under, (*self.under, condition)
        try:
            yield
        finally:
            self.under = before

    def part(self, part: Any, update: str) -> str:
        """Write what a part does to `update`, and return the result's expression."""
        own = getattr(type(part), "equations", "")
        if own:
            return self.filled(part, update, own)
        # not by inheritance: a class that changes `apply` is another equation
        said = SAID.get(type(part))
        if said is None and not isinstance(part, Rule) and hasattr(part, "parts"):
            said = SAID[Chain]  # a call of Optax, computed by parts of adamx
        if said is None:
            return self.without_equation(part, update)
        return said(part, self, update)

    def without_equation(self, part: Any, update: str) -> str:
        """Write that a part of the user's has no equation, and what is known."""
        doc = (type(part).__doc__ or "").strip().split("\n")[0]
        if doc.startswith(f"{type(part).__name__}("):  # a dataclass's own
            doc = ""
        self.unsaid.append(Unsaid(part, doc))
        return f"⟦{type(part).__name__}⟧({bare(update)})"

    def named(self, symbol: str, expression: str) -> str:
        """Write `symbol = expression`, unless it is the symbol, and return it."""
        if symbol == expression:
            return symbol
        self.line(f"{symbol} = {expression}")
        return symbol

    def short(self, symbol: str, expression: str) -> str:
        """Return an expression that is a symbol; name one that is not."""
        if " " in expression:
            return self.named(symbol, expression)
        return expression

    def slot(self, name: str) -> str:
        """Return the symbol of a slot."""
        name = self.prefix + name
        return self.slot_names.setdefault(name, letter(name))

    def filled(self, part: Any, update: str, text: str) -> str:
        """Write a template of equations, and return the expression in its last line.

        In braces stand fields of the part, `u` for the update, `1-` and a field for
        what is left of 1, `@` and a slot, which may be in a field.
        """
        *lines, result = text.strip().splitlines()
        known = _Filling(part, self, update)
        for line in lines:
            self.line(line.strip().format_map(known))
        return result.strip().format_map(known)


class _Filling(dict):
    def __init__(self, part: Any, writer: Writer, update: str) -> None:
        super().__init__()
        self.part, self.writer, self.given = part, writer, update

    def __missing__(self, key: str) -> str:
        if key == "u":
            return factor(self.given)
        if key.startswith("@"):
            stem = next(
                (f for f in ("name", "slot") if key[1:].split("_")[0] == f), None
            )
            name = key[1:]
            if stem is not None:
                name = name.replace(stem, getattr(self.part, stem), 1)
            return self.writer.slot(name)
        if key.startswith("1-"):
            return rest_of(self.part, key[2:])
        value = getattr(self.part, key)
        if isinstance(value, Rule):
            return factor(self.writer.part(value, self.given))
        return of(self.part, key)


def says(*kinds: type) -> Callable[[Said], Said]:
    """Declare a function as what these classes say."""

    def declared(function: Said) -> Said:
        for kind in kinds:
            SAID[kind] = function
        return function

    return declared


def template(kind: type, text: str) -> None:
    """Declare a template (`Writer.filled`) as what a class says."""

    def said(part: Any, writer: Writer, update: str) -> str:
        return writer.filled(part, update, text)

    SAID[kind] = said


def letter(slot: str) -> str:
    """Return the symbol of a slot's name."""
    if slot in LETTERS:
        return LETTERS[slot]
    past = re.fullmatch(r"gradient_(\d+)", slot)
    if past is not None:
        return "g" + past[1].translate(_SUBSCRIPTS)
    for end, mark in (("_weight", "w"), ("_share", "c"), ("_row", "r"), ("_col", "c")):
        if slot.endswith(end):
            return _indexed(slot, mark, letter(slot.removesuffix(end)))
    for end, mark in (("_max", "max"), ("_before", "before")):
        if slot.endswith(end):
            return _indexed(slot, letter(slot.removesuffix(end)), mark)
    for begin, mark in (("magnitude_", "a"), ("adam_", "A")):
        if slot.startswith(begin):
            return _indexed(slot, letter(slot.removeprefix(begin)), mark)
    return slot if len(slot) == 1 else f"⟦{slot}⟧"


def _indexed(slot: str, base: str, index: str) -> str:
    """Return a symbol with an index, or the slot's name if it has one already."""
    if "⟦" in base + index or "_" in base:
        return f"⟦{slot}⟧"
    return f"{base}_{{{index}}}" if "_" in index else f"{base}_{index}"


def of(owner: Any, field: str) -> str:
    """Return the text of a hyperparameter: its number, or the name of a schedule."""
    h = getattr(owner, field)
    hyper = isinstance(owner, Value) and field in hyper_fields(owner)
    return value_text(h, public_name(owner, field) if hyper else field)


def rest_of(owner: Any, field: str) -> str:
    """Return the text of 1 - h."""
    h = getattr(owner, field)
    known = _number(h)
    if known is not None:
        return number(float(np.format_float_positional(1 - known, 12)))
    return f"(1 - {of(owner, field)})"


def _number(h: Any) -> float | None:
    if is_constant(h) or (isinstance(h, int) and not isinstance(h, bool)):
        return float(h)
    if isinstance(h, jax.Array | np.ndarray) and not isinstance(h, Tracer):
        if h.shape:
            return None
        return float(f"{float(h):.7g}")  # as it is written, not as float32 has it
    return None


def value_text(h: Any, name: str) -> str:
    """Return the text of a number, an array or a schedule."""
    known = _number(h)
    if known is not None:
        return number(known)
    if is_array(h):
        return f"⟦{name}⟧"
    if callable(h):
        if isinstance(h, Value) and not isinstance(h, Schedule):
            return f"⟦{show(h)}⟧(t)"
        return f"⟦{schedule_name(h, name)}⟧(t)"
    return f"⟦{show(h)}⟧"


def schedule_name(h: Any, name: str) -> str:
    """Return the name of a schedule: of the function that made it, or of its place."""
    made_by = h.factory if isinstance(h, Schedule) else h
    qualified = getattr(made_by, "__qualname__", type(made_by).__name__)
    first = qualified.split(".")[0]
    return name if first in ("<lambda>", "") or "<lambda>" in qualified else first


def leaves_of(mask: Mask) -> str:
    """Return the leaves of a mask, in words."""
    if isinstance(mask, Not):
        return f"all leaves but those of `{mask.mask!r}`"
    return f"the leaves of `{mask!r}`"


def number(x: float) -> str:
    """Return a number as it is written: `0.999`, `10⁻⁸`, `2.5·10⁻⁷`."""
    if x == 0 or not np.isfinite(x) or 1e-3 <= abs(x) < 1e6:
        text = f"{x:.12g}"
        return text.replace("inf", "∞")
    mantissa, _, power = f"{x:.12e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    raised = "10" + str(int(power)).translate(_SUPERSCRIPTS)
    if mantissa in ("1", "-1"):
        return mantissa.replace("1", raised)
    return f"{mantissa}·{raised}"


def factor(expression: str) -> str:
    """Return an expression as one factor of a product: in brackets, if it must be."""
    plain = _outside(expression)
    return f"({expression})" if " " in plain or plain.startswith("-") else expression


def numerator(expression: str) -> str:
    """Return an expression as what stands before `/`."""
    plain = _outside(expression)
    tight = not re.search(r" [-+/] ", plain) and not plain.startswith("-")
    return expression if tight else f"({expression})"


def term(expression: str) -> str:
    """Return an expression as what stands after a minus."""
    plain = _outside(expression)
    return f"({expression})" if re.search(r" [-+] ", plain) else expression


def times(scale: str, expression: str) -> str:
    """Return a product; 1 is left out."""
    if scale == "1":
        return expression
    plain = _outside(expression)
    single = not re.search(r" [-+<>≥←=,] ", plain) and not plain.startswith("-")
    return f"{scale} {expression if single else f'({expression})'}"


def power(base: str, exponent: str) -> str:
    """Return a power, with an integer as it is written by hand."""
    if exponent in ("0", "1"):
        return {"0": "1", "1": base}[exponent]
    if exponent.isdigit():
        return base + exponent.translate(_SUPERSCRIPTS)
    return f"{base}^({exponent})"


def bare(expression: str) -> str:
    """Return an expression without the brackets around the whole of it."""
    if expression.startswith("(") and not _outside(expression[1:-1]).count(")"):
        inner = expression[1:-1]
        return inner if _outside(expression) == "()" else expression
    return expression


def _outside(expression: str) -> str:
    """Return what stands outside of all brackets, bars and quoted names."""
    text = re.sub(r"⟦[^⟧]*⟧", "n", expression)
    found, depth, bar = [], 0, False
    for sign in text:
        if sign in ")}⟩":
            depth -= 1
        if sign in "|‖":
            bar = not bar
        if not depth and not bar:
            found.append(sign)
        if sign in "({⟨":
            depth += 1
    return "".join(found)
