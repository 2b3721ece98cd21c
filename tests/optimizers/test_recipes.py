"""The recipes: each line of docs/recipes.md is what the cell on its right says.

Those of other pages, which take several lines, are what their oracles say.
"""

import ast
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests import papers, trajectories
from tests.support.agreement import assert_follows, wanted

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECIPES = (DOCS / "recipes.md").read_text()
ROWS = re.findall(r"^\| .+? \| `(adamx\..+?)` \| `?(.+?)`? \|$", RECIPES, re.MULTILINE)
STEPS = 60
TOLERANCE = 1e-12


def test_every_row_is_read():
    assert len(ROWS) == RECIPES.count("\n| ") - 1  # the head


def parameters(tx, theta, gradients):
    """The parameters after each step on given gradients."""

    def step(carry, g):
        theta, state = carry
        updates, state = tx.update(g, state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    theta, gradients = jax.tree.map(jnp.asarray, (theta, gradients))
    return jax.jit(lambda *a: jax.lax.scan(step, *a)[1])(
        (theta, tx.init(theta)), gradients
    )


def described(form, rate):
    """Start, gradients and parameters of what a recipe must equal."""
    if form.startswith("torch.optim."):
        recorded = trajectories.load(form.removeprefix("torch.optim.").lower())
        return recorded.theta, recorded.gradients, recorded.thetas
    random = np.random.default_rng(1)
    theta = random.normal(size=20)
    gradients = random.normal(size=(STEPS, 20)) * 10 ** random.uniform(-2, 1, size=20)
    if form.startswith("tests.papers."):
        oracle = getattr(papers, form.removeprefix("tests.papers."))
        thetas = oracle(theta, lambda k, _: gradients[k], STEPS, learning_rate=rate)
    else:
        counterpart = eval(form, {"optax": optax})
        thetas = parameters(counterpart, theta, gradients)
    return theta, gradients, thetas


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("code", "form"), ROWS, ids=[code for code, _ in ROWS])
def test_a_recipe_is_the_form_it_names(code, form):
    tx = eval(code, {"adamx": adamx})
    rate = float(re.search(r"1e-3|0\.\d+", code)[0])
    theta, gradients, thetas = described(form, rate)
    ours = parameters(tx, theta, gradients)
    for got, want in zip(*map(jax.tree.leaves, (ours, thetas)), strict=True):
        close = np.abs(got - want) <= TOLERANCE * np.max(np.abs(want))
        assert close.all(), np.max(np.abs(got - want))


def built(page, name):
    """What a code cell of a page calls by this name."""
    cells = re.findall(
        r"```{code-cell}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL
    )
    for cell in cells:
        lines = ast.parse(cell).body
        for i, line in enumerate(lines):
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == name:
                known = {"adamx": adamx}
                exec(compile(ast.Module(lines[: i + 1], []), page, "exec"), known)
                return known[name]
    raise AssertionError(f"docs/{page} has no cell with {name} = ...")


def soap_then_muon_or_soap(theta, gradient, steps):
    if theta.ndim == 2:
        return papers.soap_then_muon(theta, gradient, steps, out_axis=1)
    return papers.soap(theta, gradient, steps, b2=0.9, released=False)


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
def test_soap_before_muon_is_the_polar_factor_of_what_soap_makes():
    expected = wanted(soap_then_muon_or_soap)
    assert_follows(lambda: built("matrices.md", "soap_muon"), expected)
    with pytest.raises(AssertionError):
        assert_follows(lambda: adamx.muon(0.02), expected)
