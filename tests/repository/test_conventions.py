"""The conventions that no linter knows: sizes, names, docstrings, files that belong."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import adamx
from adamx.later import things
from tests import papers, table
from tests.table.cases import OPTIMIZERS, sampled

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [
    path.relative_to(ROOT)
    for folder in ("adamx", "tests", "benchmarks", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LIBRARY = [path for path in PYTHON if path.parts[0] == "adamx"]

FORBIDDEN = {"utils", "util", "misc", "helpers", "helper", "common", "core"}

# The order of an optimizer's docstring; a section in brackets may be missing.
SECTIONS = ("Args:", "State:", "Departs from the paper:", "Raises:", "[Example:]")
SECTIONS = (*SECTIONS, "Reference:")


def public():
    """The public names of adamx and its namespaces that are functions or classes."""
    namespaces = (adamx, adamx.parts, adamx.optimizers, adamx.storage)
    return [
        pytest.param(thing, id=f"{namespace.__name__}.{name}")
        for namespace in namespaces
        for name, thing in sorted(things(namespace).items())
        if callable(thing)
        if namespace is adamx or name not in adamx.__all__
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
        path for path in LIBRARY if path.parts[1] not in ("race", "__main__.py")
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


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda row: row.name)
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
    ids=lambda row: row.name,
)
def test_scale_by_gives_its_reference(optimizer):
    doc = inspect.getdoc(getattr(adamx, f"scale_by_{optimizer.name}")) or ""
    assert re.search(r"^Reference: \w", doc, re.MULTILINE)


# One stem for an optimizer: in adamx/optimizers, tests/papers and tests/table. What is
# missing is named in a sentence, for whoever adds an optimizer.

# Optimizers without an oracle of their own, each with the reason. None so far.
NO_ORACLE: dict[str, str] = {}
# Files of tests/papers that several optimizers share.
SHARED = {"clips", "codecs", "directions", "exact", "form", "grafting", "one_vector"}
SHARED |= {"points", "polynomials", "small_numbers"}
# Those whose mutants need more than one gradient tree or a point of their own.
AVERAGES = "tests/optimizers/test_averages_and_rate_free.py"
MUTANTS_ELSEWHERE = {
    "adahessian": "tests/optimizers/test_sophia_adahessian.py",
    "dadapt_adamw": AVERAGES,
    "dog": AVERAGES,
    "dowg": AVERAGES,
    "gpa": AVERAGES,
    "lookahead": AVERAGES,
    "param_ema": AVERAGES,
    "prodigy": AVERAGES,
    "schedule_free": AVERAGES,
    "sophia": "tests/optimizers/test_sophia_adahessian.py",
}
NEEDED = {
    "papers": "the oracle: the paper's pseudo-code in NumPy float64, without adamx, "
    "as a function (theta, gradient, steps, *, learning_rate, ...)",
    "table": "ROWS with an Optimizer for each function of the file (its variants, "
    "hyperparameters and slots), and MUTANTS with at least one wrong transform",
}


def stems(folder):
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}


def missing(optimizers, root, no_oracle=NO_ORACLE):
    """A sentence for each file under `root` that a stem of an optimizer wants."""
    return [
        f"tests/{folder}/{stem}.py is missing: adamx/optimizers/{stem}.py wants there "
        f"{what}."
        for folder, what in NEEDED.items()
        for stem in sorted(set(optimizers) - stems(root / folder))
        if not (folder == "papers" and stem in no_oracle)
    ]


def without_row(functions, rows):
    """A sentence for each function of an optimizer, by its file, that has no row."""
    return [
        f"adamx.{name} has no row: tests/table/{stem}.py wants in ROWS an "
        f'Optimizer("{name}", ...) with its variants, hyperparameters and slots.'
        for name, stem in functions.items()
        if (stem, name) not in rows
    ]


def test_each_optimizer_has_its_files():
    problems = missing(stems(ROOT / "adamx" / "optimizers"), ROOT / "tests")
    assert not problems, "\n".join(problems)


def test_no_file_belongs_to_no_optimizer():
    optimizers = stems(ROOT / "adamx" / "optimizers")
    assert set(papers.ORACLES) - optimizers == SHARED
    assert set(table.FILES) - optimizers == set()
    assert optimizers & set(NO_ORACLE) == set(NO_ORACLE)


def test_each_oracle_file_has_an_oracle():
    optimizers = stems(ROOT / "adamx" / "optimizers") - set(NO_ORACLE)
    written = optimizers & set(papers.ORACLES)
    assert [stem for stem in sorted(written) if not papers.ORACLES[stem]] == []


def test_each_optimizer_has_a_row_in_the_file_of_its_name():
    functions = {
        name: getattr(adamx.optimizers, name).__module__.rpartition(".")[2]
        for name in adamx.optimizers.__all__
        if not name.startswith("scale_by_")
    }
    rows = {(stem, row.name) for stem, file in table.FILES.items() for row in file.ROWS}
    problems = without_row(functions, rows)
    assert not problems, "\n".join(problems)
    assert len(rows) == len(functions), "a row without an optimizer"


def test_each_file_has_a_mutant():
    without = {s for s, file in table.FILES.items() if not getattr(file, "MUTANTS", {})}
    assert without == set(MUTANTS_ELSEWHERE)
    assert all((ROOT / file).exists() for file in MUTANTS_ELSEWHERE.values())


def test_the_sample_has_every_scope():
    assert {row.scope for row in sampled()} == {row.scope for row in OPTIMIZERS}


@pytest.fixture
def fake(tmp_path):
    """`old` has both files, `new` none, `wrapper` a row."""
    for file in ("papers/old", "table/old", "table/wrapper", "table/__init__"):
        path = tmp_path / f"{file}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_missing_file_is_named_with_what_goes_into_it(fake):
    problems = missing(["old", "new", "wrapper"], fake, {"wrapper": "wraps another"})
    assert len(problems) == 2
    oracle, row = problems
    assert oracle.startswith("tests/papers/new.py is missing")
    assert "pseudo-code" in oracle
    assert row.startswith("tests/table/new.py is missing")
    assert "ROWS" in row
    assert missing(["old"], fake) == []


def test_a_missing_row_is_named():
    (problem,) = without_row({"old": "old", "older": "old"}, {("old", "old")})
    assert problem.startswith("adamx.older has no row: tests/table/old.py")
    assert without_row({"old": "new"}, {("old", "old")}) != []
