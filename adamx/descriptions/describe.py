"""`adamx.describe`: what a transformation computes, keeps and goes back to."""

import dataclasses
import html as escaping
from typing import Any

from .. import errors
from ..engine.hyperparams import hyper_fields, public_name
from ..engine.value import Value, made_by, show
from ..html import HEADING, formatted, table
from ..storage.plan import columns, memory_plan
from . import equations, names, said
from .costs import MATRIX, SlotCost, of_matrix, of_plan, total_of_matrix
from .mathml import mathml
from .references import Reference, references
from .writing import Line, Unsaid, Writer

ALL = "all leaves"


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter: its public name, its value, and the part that has it."""

    name: str
    value: str
    part: str


@dataclasses.dataclass(frozen=True)
class Description:
    """A transformation in equations, numbers and references; prints as text.

    A notebook shows it with typeset equations.

    Attributes:
        name: the function of adamx that made it, or its class.
        lines: the equations, with the conditions under which they hold.
        hyperparameters: the numbers and schedules.
        slots: what is kept, with the bytes for each parameter.
        symbols: the symbols of the slots in the equations.
        total: the bytes of the state for each parameter; None if that depends on
            which parameters there are.
        counted: the parameters that the bytes are counted on.
        references: the papers of the functions that made it, and of its parts.
        notes: sentences on what is no equation.
        unsaid: the parts of other libraries or of your own that have no equation.
    """

    name: str
    lines: tuple[Line, ...]
    hyperparameters: tuple[Hyperparameter, ...]
    slots: tuple[SlotCost, ...]
    symbols: dict[str, str]
    total: float | None
    counted: str
    references: tuple[Reference, ...]
    notes: tuple[str, ...] = ()
    unsaid: tuple[Unsaid, ...] = ()

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return the equations in groups, each with the condition it holds under."""
        found: list[tuple[str, list[str]]] = []
        for line in self.lines:
            under = ", ".join(line.under)
            if not under and found and found[-1][0]:
                under = ALL  # they stand below what holds for some
            if not found or found[-1][0] != under:
                found.append((under, []))
            found[-1][1].append(line.text)
        return found

    def equations(self) -> str:
        """Return the equations alone, as plain text."""
        text = []
        for under, lines in self.sections():
            text += [f"{_plain(under)}:"] if under else []
            text += [("    " if under else "  ") + _plain(line) for line in lines]
        return "\n".join(text)

    def latex(self) -> str:
        """Return the equations as LaTeX, an `aligned` for each group."""
        blocks = []
        for under, lines in self.sections():
            head = f"\\text{{{_latex_text(under)}:}}\\\\\n" if under else ""
            blocks.append(head + equations.block("\n".join(lines)))
        return "\\begin{gathered}\n" + "\\\\[1em]\n".join(blocks) + "\n\\end{gathered}"

    def __str__(self) -> str:
        text = [self.name, "", self.equations()]
        if self.hyperparameters:
            rows = [(h.name, h.value, h.part) for h in self.hyperparameters]
            text += ["", *columns([("hyperparameter", "value", "part"), *rows])]
        if self.slots:
            text += ["", *columns([_SLOTS, *self._slot_rows()], right=3), self._sum()]
        text += [""] * bool(self.notes or self.unsaid)
        text += [*self.notes, *map(str, self.unsaid)]
        if self.references:
            text += ["", "References", *(f"  {each}" for each in self.references)]
        return "\n".join(text)

    def _slot_rows(self) -> list[tuple[str, ...]]:
        rows = []
        for cost in self.slots:
            kept = " ".join(filter(None, (cost.kept, cost.leaves)))
            symbol = _plain(self.symbols.get(cost.slot, ""))
            rows.append((cost.slot, symbol, kept, f"{cost.bytes:.4g}"))
        return rows

    def _sum(self) -> str:
        if self.total is None:
            return f"Bytes of {self.counted}, for the leaves that have the slot."
        return f"{self.total:.4g} bytes a parameter of {self.counted}."

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        body = [f"<b>{escaping.escape(self.name)}</b>"]
        for under, lines in self.sections():
            if under:
                body.append(f'<div style="{HEADING}">{formatted(under)}</div>')
            body.append(mathml(equations.block("\n".join(lines))))
        if self.hyperparameters:
            rows = [(h.name, h.value, h.part) for h in self.hyperparameters]
            body.append(table(("hyperparameter", "value", "part"), rows))
        if self.slots:
            shown = self._slot_rows()
            body.append(table(_SLOTS, shown, right=(3,), foot=self._sum()))
        body += [
            f"<div>{formatted(n)}</div>" for n in (*self.notes, *map(str, self.unsaid))
        ]
        if self.references:
            each = "".join(
                f"<li>{escaping.escape(str(r))}</li>" for r in self.references
            )
            body.append(f'<div style="{HEADING}">References</div><ul>{each}</ul>')
        return f"<div>{''.join(body)}</div>"


_SLOTS = ("slot", "symbol", "kept as", "bytes a parameter")


def _plain(text: str) -> str:
    """Return text as it is printed: without the marks of names and code."""
    return text.replace("⟦", "").replace("⟧", "").replace("`", "")


def _latex_text(text: str) -> str:
    return _plain(text).replace("_", "\\_").replace("&", "\\&").replace("%", "\\%")


def _hyperparameters(x: Any, seen: list[Hyperparameter]) -> None:
    if type(x) is tuple:
        for element in x:
            _hyperparameters(element, seen)
    if not isinstance(x, Value):
        return
    own = set(hyper_fields(x))
    for field in x._fields:
        value = getattr(x, field)
        is_part = isinstance(value, Value) and not callable(value)
        if field in own and value is not None and not is_part:
            row = Hyperparameter(public_name(x, field), show(value), type(x).__name__)
            if row not in seen:
                seen.append(row)
        if isinstance(value, Value) or type(value) is tuple:
            _hyperparameters(value, seen)


def describe(tx: Any, params: Any = None) -> Description:
    """Describe a transformation: its equations, numbers, state and papers.

        print(adamx.describe(adamx.adamw(1e-3)))

    The parts say their equations, with the numbers of this transformation in them;
    schedules stand there by name, as functions of the step t. g is the gradient, θ the
    parameter, u the update. In a notebook the result is typeset; `print` gives text and
    `latex()` the equations for a paper.

    A rule of your own is described if its class has `equations`, a template whose last
    line is what the rule returns (see "Describe an optimizer" in the documentation);
    otherwise it is shown with its fields and its docstring's first line.

    Args:
        tx: an optimizer, chain, part or wrapper of adamx.
        params: the parameters, or their shapes, to count the state on; None for one
            float32 matrix of 1024 × 1024.

    Raises:
        TypeError: it is no transformation of adamx.
    """
    names.check_own("describe", "tx", tx)
    if not hasattr(tx, "init"):
        raise errors.type_error(
            "describe",
            "`tx` must be an optimizer, a chain or a part",
            repr(tx),
            "A codec is described by its repr.",
        )
    w = Writer()
    said.finish(tx, w, "g")
    if params is None:
        counted = f"a hidden float32 matrix of {MATRIX[0]} × {MATRIX[1]}"
        slots, total = of_matrix(tx), total_of_matrix(tx)
    else:
        plan, counted = memory_plan(tx, params), "the given parameters"
        slots, total = of_plan(plan), plan.bytes_per_parameter
    hypers: list[Hyperparameter] = []
    _hyperparameters(tx, hypers)
    name = next(iter(made_by(tx)), type(tx).__name__)
    return Description(
        name,
        tuple(w.lines),
        tuple(hypers),
        tuple(slots),
        dict(w.slot_names),
        total,
        counted,
        tuple(references(tx)),
        tuple(w.notes),
        tuple(w.unsaid),
    )
