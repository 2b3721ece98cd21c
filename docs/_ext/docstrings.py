"""Docstrings of adamx as reStructuredText: equations, sections, references.

What stands before the first section is text and indented blocks, which are equations or
Python; sections.py cuts them out. `Args:`, `Raises:` and `Returns:` are napoleon's;
`State:`, `Reference:` and `Departs from ...:` become fields beside the arguments.
"""

import re
from collections.abc import Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from adamx.descriptions import equations

from . import catalogue
from .sections import EXAMPLE, FIELD, Block, split

logger = logging.getLogger(__name__)

ARXIV = re.compile(r"arXiv:\s?(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")
NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")


def rst(found: Sequence[Block], where: str) -> list[str]:
    """The pieces as reStructuredText; `where` names the docstring in warnings."""
    out: list[str] = []
    example = False
    for block in found:
        if block.kind == "indented":
            out += _indented(block, where, example)
        elif block.kind == "section":
            out += prose(block.text).splitlines()
        elif block.kind == "field":
            match = FIELD.match(block.text)
            assert match is not None
            name = {"Args": "Arguments"}.get(match[1], match[1])
            lines = [line.strip() for line in prose(match[2]).splitlines()]
            out.append(f":{name}: {lines[0]}")
            out += [f"    {line}" for line in lines[1:]]
        elif EXAMPLE.match(block.text.splitlines()[0]):
            out += ["**Example**"]
            if len(block.lines) > 1:
                out += ["", *_indented(Block("indented", block.lines[1:]), where, True)]
            example = True
        else:
            out += prose(block.text).splitlines()
        out.append("")
    return out


def _indented(block: Block, where: str, example: bool) -> list[str]:
    cut = min(len(n) - len(n.lstrip()) for n in block.lines if n.strip())
    lines = [line[cut:] for line in block.lines]
    if example or equations.is_code("\n".join(lines)):
        lexer = "pycon" if lines[0].startswith(">>>") else "python"
        return [f".. code-block:: {lexer}", "", *(f"    {line}" for line in lines)]
    try:
        made = equations.block("\n".join(lines))
    except equations.EquationError as error:
        logger.warning(
            "%s: an indented block is neither Python nor an equation that can be "
            "translated: %s", where, error,
        )  # fmt: skip
        return ["::", "", *(f"    {line}" for line in lines)]
    return math(made)


def math(latex: str) -> list[str]:
    """A displayed equation; nowrap keeps Sphinx from laying it out again."""
    lines = [f"    {line}" for line in ("\\[", *latex.splitlines(), "\\]")]
    return [".. math::", "    :nowrap:", "", *lines]


def prose(text: str) -> str:
    """Running text: code and formulas in backticks, and nothing else as markup."""
    pieces = re.split(r"(``[^`]+``|`[^`]+`)", text)
    out = []
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            out.append(_escaped(piece))
            continue
        joined = re.match(r"\w", pieces[place + 1])  # as in `Array`s
        out.append(_quoted(piece) + ("\\ " if joined else ""))
    return "".join(out)


def _quoted(piece: str) -> str:
    inner = " ".join(piece.strip("`").split())
    if not piece.startswith("``"):
        latex = equations.inline(inner)
        if latex is not None:
            return f":math:`{latex}`"
        if NAME.fullmatch(inner):
            return f"`{inner}`"
    return f"``{inner}``"


def _escaped(text: str) -> str:
    text = re.sub(r"(?m)^(\s*)(\*{1,2}\w+:)|([*|])", _star, text)
    text = re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
    text = re.sub(r"(?m)(^|: )(\w)\.(?=\s|$)", r"\1\2\\.", text)  # is no list
    return ARXIV.sub(r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", text)


def _star(match: re.Match[str]) -> str:
    return match[0] if match[2] else f"\\{match[3]}"


def before_napoleon(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Translate a docstring; an optimizer's page has its introduction already."""
    del app, what, options
    intro, sections = split(lines)
    if catalogue.is_optimizer(obj):
        intro = []
    lines[:] = rst([*intro, *sections], name)


def find_by_last_name(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """A link from a name in backticks to the one object that ends in it."""
    target = node.get("reftarget", "").removesuffix("()").split(".")[-1]
    if node.get("refdomain") != "py" or not target:
        return None
    known = env.domaindata["py"]["objects"]
    found = [full for full in known if full.split(".")[-1] == target]
    top = [full for full in found if full.count(".") == 1]
    if len(top or found) != 1:
        return None
    entry = known[(top or found)[0]]
    uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
    link = nodes.reference("", "", internal=True, refuri=f"{uri}#{entry.node_id}")
    link += contnode
    return link
