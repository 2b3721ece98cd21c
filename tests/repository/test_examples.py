"""The README, the pages of docs/ and every example in a docstring are executed here."""

import ast
import doctest
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
NAMES = {"adamx": adamx, "jax": jax, "jnp": jnp, "np": np, "optax": optax}
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
PAGES = [
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    if path.exists() and BLOCK.search(path.read_text())
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_from_top_to_bottom(path):
    """The python blocks run in their order, as a reader pastes them.

    The cells of pages that the site executes (`{code-cell}`) run when it is built.
    """
    text, names = path.read_text(), {}
    for block in BLOCK.finditer(text):
        above = text.count("\n", 0, block.start(1))
        exec(compile("\n" * above + block[1], path.name, "exec"), names)


def test_readme_example_has_twelve_lines():
    first = re.search(r"^```python\n(.*?)^```$", README, re.M | re.S)
    assert len([line for line in first[1].splitlines() if line]) <= 12


def docstrings():
    """Every docstring of the package that holds an example, by place."""
    holders = ast.Module | ast.ClassDef | ast.FunctionDef
    for path in sorted((ROOT / "adamx").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            doc = ast.get_docstring(node) if isinstance(node, holders) else None
            if doc and ">>> " in doc:
                name = getattr(node, "name", "module")
                line = node.body[0].lineno
                place = path.relative_to(ROOT)
                yield pytest.param(doc, str(place), line, id=f"{place}:{name}")


@pytest.mark.parametrize(("doc", "place", "line"), list(docstrings()))
def test_docstring(doc, place, line):
    example = doctest.DocTestParser().get_doctest(doc, dict(NAMES), place, place, line)
    report = []
    doctest.DocTestRunner(optionflags=FLAGS).run(example, out=report.append)
    assert not report, "".join(report)
