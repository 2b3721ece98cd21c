"""The equations of an optimizer, with the numbers of the sliders in them.

They are written for a transformation whose hyperparameters are numbers that occur
nowhere else; in the equations these numbers, and 1 minus them, are then marked.
"""

import html
import re
from typing import Any

from ..descriptions import equations
from ..descriptions.describe import Description, describe
from ..descriptions.mathml import mathml
from ..descriptions.writing import number
from ..html import formatted
from .twins import changed, hyperparameters

_NUMBER = re.compile(r"<mn>([\d.]+)</mn>")


def live(tx: Any) -> str:
    """Return the equations as HTML with MathML.

    A number that is a hyperparameter is in `<mn data-h="b1">`, and 1 minus it in
    `<mn data-rest="b1">`. Where an equation has a number that was computed from others,
    all of them are those of the transformation, with a sentence that says so.
    """
    marked = {
        name: 0.1234567 + 0.0101 * i for i, name in enumerate(hyperparameters(tx))
    }
    kinds = {number(value): ("h", name) for name, value in marked.items()}
    kinds |= {number(1 - value): ("rest", name) for name, value in marked.items()}
    computed = False

    def mark(found: re.Match[str]) -> str:
        nonlocal computed
        kind, name = kinds.get(found[1], ("", ""))
        computed = computed or (not kind and len(found[1].replace(".", "")) > 6)
        return f'<mn data-{kind}="{html.escape(name)}">?</mn>' if kind else found[0]

    text = _NUMBER.sub(mark, _written(describe(changed(tx, marked))))
    if not computed:
        return text
    note = "<p>The numbers in these equations are those of the start, not the sliders'."
    return _written(describe(tx)) + note + "</p>"


def _written(description: Description) -> str:
    body = []
    for under, lines in description.sections():
        if under:
            body.append(f"<p>{formatted(under)}</p>")
        body.append(mathml(equations.block("\n".join(lines))))
    body += [f"<p>{formatted(note)}</p>" for note in description.notes]
    return "".join(body)
