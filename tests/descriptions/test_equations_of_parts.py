"""Every part says its equation, with every slot and hyperparameter of its own."""

import dataclasses
import functools
from xml.etree import ElementTree

import pytest

import adamx
from adamx.descriptions import equations, mathml, names, said
from adamx.descriptions.writing import SAID, Writer, factor, number, times
from adamx.engine.hyperparams import rewrite
from tests.table.cases import OPTIMIZERS

BASES = {"Rule", "Decay"}
"""Classes that are there to be extended, and compute nothing themselves."""

VARIANTS = [
    pytest.param(row, variant, id=f"{row.name} {variant.label}".strip())
    for row in OPTIMIZERS
    for variant in row.variants
]


@functools.cache
def built(row, variant):
    """The optimizer itself, without what gives it the arguments of the laws."""
    return dataclasses.replace(row, completed=lambda tx: tx).build(**variant.keywords)


def written(tx):
    w = Writer()
    said.finish(tx, w, "g")
    return w


def with_names(tx):
    """The same with a schedule of its own name in the place of each number."""
    made = []

    def named(owner, field, h):
        def value(count):
            return h

        value.__qualname__ = f"h{len(made)}x"
        made.append((value.__qualname__, type(owner).__name__, field))
        return value

    return rewrite(tx, named), made


def public_rules():
    return {
        name: thing
        for name, thing in names.public().items()
        if isinstance(thing, type) and issubclass(thing, adamx.Rule)
    }


def test_every_public_rule_says_an_equation():
    silent = {n for n, kind in public_rules().items() if kind not in SAID} - BASES
    assert silent == set(), "declare it in adamx/descriptions/said_of_*.py"
    assert len(public_rules()) > 100


@pytest.mark.parametrize(("row", "variant"), VARIANTS)
def test_every_slot_and_hyperparameter_stands_in_the_equations(row, variant):
    tx, made = with_names(built(row, variant))
    w = written(tx)
    assert w.unsaid == []
    text = "\n".join(line.text for line in w.lines)
    missing = [(kind, field) for name, kind, field in made if name not in text]
    assert missing == []
    for slot in tx.slots():
        symbol = w.slot_names.get(slot)
        assert symbol is not None, slot
        assert symbol in text, slot
    symbols = [w.slot_names[slot] for slot in tx.slots()]
    assert len(set(symbols)) == len(symbols), symbols


@pytest.mark.parametrize("row", OPTIMIZERS, ids=lambda row: row.name)
def test_the_equations_are_latex_and_mathml(row):
    made = adamx.describe(built(row, row.variants[0]))
    latex = made.latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin") == latex.count(r"\end")
    for _, lines in made.sections():
        root = ElementTree.fromstring(mathml.mathml(equations.block("\n".join(lines))))
        assert len(root.findall(".//mtr")) in (0, len(lines))
    assert made.references


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.999, "0.999"),
        (1e-8, "10⁻⁸"),
        (2.5e-7, "2.5·10⁻⁷"),
        (1.0, "1"),
        (-1e-5, "-10⁻⁵"),
        (1e6, "10⁶"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_are_written_as_by_hand(x, expected):
    assert number(x) == expected


def test_products_have_the_brackets_that_they_need():
    assert times("1", "a + b") == "a + b"
    assert times("2", "a + b") == "2 (a + b)"
    assert times("2", "a / (b + c)") == "2 a / (b + c)"
    assert times("c", "-a") == "c (-a)"
    assert factor("sqrt(a + b)") == "sqrt(a + b)"
    assert factor("a b") == "(a b)"
