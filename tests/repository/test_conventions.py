"""The rules of the house that no linter knows: sizes, names, docstrings."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import adamx
from tests.table.cases import OPTIMIZERS

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [
    path.relative_to(ROOT)
    for folder in ("adamx", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LIBRARY = [path for path in PYTHON if path.parts[0] == "adamx"]

FORBIDDEN = {"utils", "util", "misc", "helpers", "helper", "common", "core"}

# The order of an optimizer's docstring; a section in brackets may be missing.
SECTIONS = ("Args:", "State:", "Departs from the paper:", "Raises:", "[Example:]")
SECTIONS = (*SECTIONS, "Reference:")


def public():
    """The public names of adamx that are functions or classes."""
    return [
        pytest.param(getattr(adamx, name), id=name)
        for name in adamx.__all__
        if callable(getattr(adamx, name))
    ]


def test_files_are_found():
    assert Path("adamx/engine/rule.py") in LIBRARY
    assert Path("tests/repository/test_conventions.py") in PYTHON


def test_no_file_is_long():
    lengths = {p: len((ROOT / p).read_text().splitlines()) for p in PYTHON}
    assert {p: n for p, n in lengths.items() if n > 400} == {}


def test_no_file_has_a_name_that_says_nothing():
    parts = {path: FORBIDDEN & {path.stem, *path.parts} for path in PYTHON}
    assert {path: names for path, names in parts.items() if names} == {}


def test_annotations_stay_annotations():
    """`from __future__ import annotations` would hide them from the run-time checks."""
    future = "from __future__ import annotations"
    assert [path for path in LIBRARY if future in (ROOT / path).read_text()] == []


def test_no_import_inside_a_function():
    """It would hide an edge from import-linter; only the race loads lazily."""

    def inside(path):
        functions = ast.FunctionDef | ast.AsyncFunctionDef
        for outer in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(outer, functions):
                for node in ast.walk(outer):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        yield f"{path}:{node.lineno}"

    below_the_race = [
        path
        for path in LIBRARY
        if path.parts[1] not in ("race", "plotting.py", "__main__.py")
    ]
    assert [place for path in below_the_race for place in inside(path)] == []


@pytest.mark.parametrize("path", LIBRARY, ids=str)
def test_module_opens_with_a_docstring(path):
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@pytest.mark.parametrize("thing", public())
def test_public_name_has_a_docstring(thing):
    doc = inspect.getdoc(thing)
    assert doc
    first = doc.split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), first


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def test_docstring_of_an_optimizer_follows_the_template(optimizer):
    """One line, equations, and the sections in their order; every argument named."""
    build = getattr(adamx, optimizer.name)
    doc = inspect.getdoc(build) or ""
    at = {
        section: re.search(rf"^{re.escape(section.strip('[]'))}", doc, re.MULTILINE)
        for section in SECTIONS
    }
    missing = [s for s, found in at.items() if not found and s[0] != "["]
    assert missing == []
    starts = [found.start() for found in at.values() if found]
    assert starts == sorted(starts)
    state = doc[at["State:"].start() : at["Departs from the paper:"].start()]
    assert re.search(r"\bfrom\b|\bstart|\bsets\b|before the first", state), "no start"
    head = doc[: starts[0]]
    assert re.search(r"^    .*(=|←)", head, re.MULTILINE), "no equation before Args"
    arguments = doc[starts[0] : starts[1]]
    for name in inspect.signature(build).parameters:
        assert re.search(rf"^ +{name}: ", arguments, re.MULTILINE), name


@pytest.mark.parametrize(
    "optimizer",
    [optimizer for optimizer in OPTIMIZERS if optimizer.has_scale_by],
    ids=lambda optimizer: optimizer.name,
)
def test_scale_by_gives_its_reference(optimizer):
    doc = inspect.getdoc(getattr(adamx, f"scale_by_{optimizer.name}")) or ""
    assert re.search(r"^Reference: \w", doc, re.MULTILINE)
